"""Lighthouse judges the pages: how fast, how usable, how well kept, how small. `make audit`; not part of the tests."""
