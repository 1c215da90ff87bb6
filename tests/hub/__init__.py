"""Tests of the live connections, without sockets."""
