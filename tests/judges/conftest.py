import queue
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
Judge = Callable[..., str]


@pytest.fixture(scope="session")
def start_judge() -> Iterator[Judge]:
    """`start_judge("file.cjs", *arguments, ready=pattern)` gives the pattern's group once a line holds it."""
    if not (FOLDER / "node_modules").is_dir():
        pytest.fail("tests/judges/node_modules is missing: `make test` installs it (npm ci in tests/judges)")
    with ExitStack() as running:

        def start(*command: str, ready: str) -> str:
            process = subprocess.Popen(
                ["node", *command],
                cwd=FOLDER,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            running.callback(_stop, process)
            return _wait_for(process, re.compile(ready))

        yield start


def _wait_for(process: "subprocess.Popen[str]", ready: re.Pattern[str]) -> str:
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    seen: list[str] = []
    while (line := lines.get(timeout=60)) is not None:
        seen.append(line)
        if found := ready.search(line):
            return found.group(1)
    pytest.fail(f"the judge ended before it was ready:\n{''.join(seen)}")


def _stop(process: "subprocess.Popen[str]") -> None:
    process.communicate(timeout=30)
