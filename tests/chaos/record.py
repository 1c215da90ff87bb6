"""Results that outlive a run: a JSON line each, and the table that people read."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.chaos.stage import Result


@dataclass(frozen=True)
class Unit:
    """One round of one scenario on one store."""

    scenario: str
    store: str
    number: int


class Record:
    """The finished rounds of one seed, in `results.jsonl` of a directory; in memory alone without one."""

    def __init__(self, directory: Path | None, seed: int, kind: str) -> None:
        self.directory = directory
        self._file = directory / "results.jsonl" if directory else None
        self._same = {"seed": seed, "set": kind}
        self.lines: list[dict[str, Any]] = []
        if directory:
            directory.mkdir(parents=True, exist_ok=True)
        if self._file and self._file.exists():
            found = map(json.loads, self._file.read_text().splitlines())
            self.lines = [line for line in found if self._same.items() <= line.items()]

    @staticmethod
    def last_seed(directory: Path | None) -> int | None:
        """The seed of the run that this directory keeps."""
        file = directory / "results.jsonl" if directory else None
        lines = file.read_text().splitlines() if file and file.exists() else []
        return int(json.loads(lines[-1])["seed"]) if lines else None

    def has(self, unit: Unit) -> bool:
        return any(asdict(unit).items() <= line.items() for line in self.lines)

    def add(self, unit: Unit, result: Result, seconds: float) -> dict[str, Any]:
        line = {**asdict(unit), **self._same, **asdict(result), "seconds": round(seconds, 1)}
        self.lines.append(line)
        if self._file:
            with self._file.open("a") as file:
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
        return line


def missed(lines: Iterable[dict[str, Any]]) -> list[str]:
    """Scenarios of which no round at all could show that its fault hit."""
    notes: dict[tuple[str, str, str], float] = defaultdict(float)
    for line in lines:
        for name, count in line["notes"].items():
            notes[line["scenario"], line["store"], name] += count
    return [
        f"{scenario} on {store}: {name} is 0 in every round" for (scenario, store, name), n in notes.items() if not n
    ]


def table(lines: Sequence[dict[str, Any]]) -> str:
    """A row for each scenario and store, in the order in which they were played."""
    rows: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for line in lines:
        rows[line["scenario"], line["store"]].append(line)
    head = ("fault", "store", "rounds", "messages", "lost alerts / acks", "answers kept", "repeats", "unexpected",
            "back within", "proof that it hit", "failed rounds")  # fmt: skip
    body = [_row(scenario, store, rounds) for (scenario, store), rounds in rows.items()]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ("---",) * len(head), *body])


def _row(scenario: str, store: str, rounds: list[dict[str, Any]]) -> tuple[str, ...]:
    def total(name: str) -> int:
        return sum(line[name] for line in rounds)

    return (
        scenario,
        store,
        str(len(rounds)),
        str(total("deliveries")),
        f"{total('lost')} / {total('lost_acks')}",
        str(total("acks")),
        _repeats(rounds),
        str(total("unexpected")),
        f"{max(line['back_seconds'] for line in rounds):g} s",
        "; ".join(f"{name}: {count:g}" for name, count in _proofs(rounds).items()),
        str(sum(bool(line["faults"]) for line in rounds)),
    )


def _repeats(rounds: list[dict[str, Any]]) -> str:
    words = []
    for channel in sorted({channel for line in rounds for channel in line["repeats"]}):
        found = [line["repeats"][channel] for line in rounds if channel in line["repeats"]]
        replaced, plain = sum(each["replaced"] for each in found), sum(each["plain"] for each in found)
        if replaced or plain:
            most = max(each["most"] for each in found)
            words.append(f"{channel}: {replaced} replaced, {plain} seen, at most {most} more each")
    return "; ".join(words) or "0"


def _proofs(rounds: list[dict[str, Any]]) -> dict[str, float]:
    """Counts summed over the rounds; multiples and seconds at their worst."""
    found: dict[str, list[float]] = defaultdict(list)
    for line in rounds:
        for name, count in (line["proof"] | line["notes"]).items():
            found[name].append(count)
    worst = ("seconds", "the others' time")
    return {name: max(counts) if name.startswith(worst) else sum(counts) for name, counts in found.items()}
