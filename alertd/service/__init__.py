"""Use cases: each function is one thing that somebody can do, whole or not at all."""
