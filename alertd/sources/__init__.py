"""Where alerts come from: each source is one file that turns what somebody else says into observations, and sends nothing."""
