"""Decisions. Standard library only: no await, clock, socket, SQL or log; time is an argument."""
