"""Tests of alertd."""
