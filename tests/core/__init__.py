"""Tests of the decisions: no services, milliseconds."""
