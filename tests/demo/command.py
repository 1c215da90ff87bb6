"""The command line of the demo, and how it ends."""

import argparse
import asyncio
import io
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from tests.demo.server import Trouble
from tests.demo.show import DEFAULT_PORT, Options, Show
from tests.demo.town import PEOPLE_MIN

_ABOUT: Final = "alertd on this machine, for someone who has never seen it"
_ONCE_SPEED: Final = 3.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; its exit status: 0 as it should be or ended on request, 1 not, 2 misused."""
    options = _options(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # names are Japanese, whatever the terminal can write
    console = Console(highlight=False, markup=False, emoji=False)
    try:
        return asyncio.run(_run(Show(options, console)))
    except Trouble as trouble:
        console.print(str(trouble))
        return 1


async def _run(show: Show) -> int:
    """The show until it is over, or until somebody asks for its end: that is no failure."""
    task = asyncio.current_task()
    assert task
    is_asked = False

    def end() -> None:
        nonlocal is_asked
        # Once only: a second Ctrl-C must not interrupt the clearing up.
        if not is_asked:
            is_asked = True
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, end)
    try:
        return await show.run()
    except asyncio.CancelledError:
        if not is_asked:
            raise
        return 0


def _options(arguments: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(
        prog="python -m tests.demo", description="alertd on this machine, for someone who has never seen it."
    )
    parser.add_argument("--once", action="store_true", help="end by itself; status 0 only if everyone was reached")
    parser.add_argument("--people", type=int, default=300, metavar="N", help="how many work in the town (default 300)")
    parser.add_argument("--speed", type=float, metavar="X", help="how fast they are: 1 is lifelike, the default")
    parser.add_argument("--port", type=int, help=f"where alertd listens (default {DEFAULT_PORT} or the next free one)")
    parser.add_argument("--lang", choices=("en", "ja"), help="what the terminal speaks (default: by LANG)")
    parser.add_argument("--data", type=Path, metavar="DIR", help="keep alertd's data here: a directory that is empty")
    given = parser.parse_args(arguments)
    if given.people < PEOPLE_MIN:
        parser.error(f"--people: the town has at least {PEOPLE_MIN}")
    if given.speed is not None and not 0.1 <= given.speed <= 100:
        parser.error("--speed: 0.1 to 100")
    if given.data is not None and given.data.exists() and (not given.data.is_dir() or any(given.data.iterdir())):
        parser.error(f"--data: {given.data} is not an empty directory")
    language = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or ""
    return Options(
        people=given.people,
        speed=given.speed or (_ONCE_SPEED if given.once else 1.0),
        port=given.port,
        data=given.data.resolve() if given.data else None,
        language=given.lang or ("ja" if language.startswith("ja") else "en"),
        once=given.once,
    )
