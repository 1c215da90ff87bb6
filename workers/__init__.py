"""The processes behind the web: workers that deliver, and the clock that never lets anything lie."""
