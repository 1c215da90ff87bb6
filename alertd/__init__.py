"""alertd: an urgent board post reaches every member of staff, and the answers come back."""

__version__ = "0.1.0"
