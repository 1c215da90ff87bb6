"""Tests of the channels, through providers on the loopback."""
