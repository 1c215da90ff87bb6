"""The faults that alertd must survive, done to real processes: `python -m tests.chaos --help`."""
