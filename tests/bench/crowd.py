"""The crowd in C (`crowd.c`), led from here: thousands of WebSocket clients in a process of their own."""

import json
import resource
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.services import compile_c

_HERE: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Tools:
    """The two programs in C."""

    crowd: Path
    sendloop: Path

    @classmethod
    def build(cls, directory: Path) -> "Tools":
        return cls(compile_c(_HERE / "crowd.c", directory), compile_c(_HERE / "sendloop.c", directory))


class Crowd:
    """The clients: see `crowd.c` for what they can be asked. Runs from entering to leaving."""

    def __init__(self, tools: Tools, port: int, tokens: Path) -> None:
        self._command = [str(tools.crowd), str(port), str(tokens)]

    def __enter__(self) -> "Crowd":
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, command: str) -> Any:
        assert self._process.stdin
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return self.answer()

    def connect(self, count: int, path: str) -> float:
        """So many more; seconds that it took. Raises RuntimeError unless all were let in."""
        told = self.ask(f"connect {count} {path}")
        if told["open"] < count:
            raise RuntimeError(f"{count - told['open']} were not let in")
        return float(told["ended"] - told["began"]) / 1e9

    def answer(self) -> Any:
        assert self._process.stdout
        return json.loads(self._process.stdout.readline())

    def time(self, publish: Callable[[], object]) -> float:
        """Seconds from the beginning of `publish` until everybody has heard of it; RuntimeError if not all do."""
        self.ask("expect 1")
        began = time.monotonic_ns()
        publish()
        heard = self.answer()
        if heard["missing"] or heard["doubled"]:
            raise RuntimeError(f"{heard['missing']} heard nothing, {heard['doubled']} heard something twice")
        return float(heard["last"] - began) / 1e9


def most_descriptors() -> int:
    """How many connections a process may hold; raised to what the system allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
