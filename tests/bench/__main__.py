"""`python -m tests.bench [--quick] [--only push,mail]`: measures, and prints a table.

It leaves each part's JSON and plots in var/bench, and the newest of all parts together in bench.json.
"""

import argparse
import importlib
import json
import platform
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psutil

from tests.bench import plots
from tests.bench.figures import Figure, Run, Skipped, table
from tests.services import Unavailable

ROOT: Final = Path(__file__).parents[2]
BENCHES: Final = ("fanout", "reconnect", "push", "mail", "posting", "summary", "answers", "workers")


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # as Ctrl-C does: nothing that was started is left behind
    arguments = _parse()
    wanted = arguments.only.split(",") if arguments.only else list(BENCHES)
    unknown = sorted(set(wanted) - set(BENCHES))
    if unknown:
        print(f"{', '.join(unknown)}: there are {', '.join(BENCHES)}", file=sys.stderr)
        return 2
    arguments.out.mkdir(parents=True, exist_ok=True)
    machine = _machine()
    print(f"{machine['processor']}, {machine['cores']} cores, {machine['memory']}, {machine['system']}")
    failed = False
    for name in wanted:
        try:
            _bench(name, arguments, machine)
        except Exception as error:  # the others are still worth measuring
            failed = True
            print(f"\n{name}: {type(error).__name__}: {error}", file=sys.stderr)
    parts = {path.stem: json.loads(path.read_text()) for path in sorted(arguments.out.glob("*.json"))}
    _write(arguments.all, parts)
    return 1 if failed else 0


def _bench(name: str, arguments: argparse.Namespace, machine: dict[str, Any]) -> None:
    measure: Callable[[Run], list[Figure]] = importlib.import_module(f"tests.bench.{name}").measure
    began = time.monotonic()
    with _directory() as directory:
        run = Run(directory, arguments.quick)
        try:
            figures = measure(run)
        except (Skipped, Unavailable) as reason:
            figures = []
            run.notes.append(f"not measured: {reason}")
    _tell(name, figures, run, time.monotonic() - began)
    document = {
        "machine": machine,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": run.quick,
        "notes": run.notes,
        "figures": [figure.json() for figure in figures],
        "curves": {curve.name: curve.series for curve in run.curves.values()},
    }
    _write(arguments.out / f"{name}.json", document)
    for curve in run.curves.values():
        (arguments.plots / f"bench-{curve.name}.svg").write_text(plots.svg(curve))


def _write(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n")


def _tell(name: str, figures: Sequence[Figure], run: Run, seconds: float) -> None:
    print(f"\n{name} ({seconds:.0f} s)\n")
    if figures:
        print(table(figures))
    for note in run.notes:
        print(note)
    sys.stdout.flush()


@contextmanager
def _directory() -> Iterator[Path]:
    """A directory whose path is short enough for Unix sockets in it."""
    made = Path(tempfile.mkdtemp(prefix="bench-"))
    made.chmod(0o755)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _machine() -> dict[str, Any]:
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "processor": models[0] if models else platform.machine(),
        "cores": psutil.cpu_count(),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "load": psutil.getloadavg()[0],
    }


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="measures how fast alertd is here")
    parser.add_argument("--only", metavar="NAMES", help=f"some of {', '.join(BENCHES)}, with commas between them")
    parser.add_argument("--quick", action="store_true", help="small sizes, to try things out: no figure to quote")
    parser.add_argument("--out", type=Path, default=ROOT / "var" / "bench", help="where the JSON goes")
    parser.add_argument("--all", type=Path, default=ROOT / "bench.json", help="where the JSON of all parts goes")
    parser.add_argument("--plots", type=Path, default=ROOT / "var" / "bench", help="where the pictures go")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
