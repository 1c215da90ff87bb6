"""Where alerts come from: each source is one file that makes observations of what others say, and sends nothing."""
