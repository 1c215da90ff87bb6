"""`make bench`: how fast it is, and against what. What measures something offers `measure(run) -> list[Figure]`."""
