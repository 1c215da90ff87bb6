"""`python -m tests.chaos`: do to alertd what it must survive, and count."""

import argparse
import asyncio
import secrets
import sys
import warnings
from pathlib import Path
from typing import Any

from tests.chaos.place import StoreKind
from tests.chaos.record import Record, Unit, missed, table
from tests.chaos.run import BY_NAME, Kind, NoSmallDisk, Runner, parts, units


def main() -> int:
    arguments = _parse()
    found = Record.last_seed(arguments.state) if arguments.seed is None else None
    seed = arguments.seed if arguments.seed is not None else found if found is not None else secrets.randbelow(10**6)
    stores: list[StoreKind] = [arguments.store] if arguments.store else ["sqlite", "postgresql"]
    wanted = units(arguments.set, stores, arguments.only)
    if arguments.part is not None:
        all_parts = parts(wanted)
        if not 1 <= arguments.part <= len(all_parts):
            print(f"there are parts 1 to {len(all_parts)}", file=sys.stderr)
            return 2
        wanted = all_parts[arguments.part - 1]
        print(f"part {arguments.part} of {len(all_parts)}", flush=True)
    record = Record(arguments.state, seed, arguments.set)
    left = [unit for unit in wanted if not record.has(unit)]
    print(f"seed {seed}: {len(wanted)} rounds, {len(wanted) - len(left)} of them done before", flush=True)
    asyncio.run(_play(seed, arguments.set, record, left))
    lines = [line for line in record.lines if any(_is(line, unit) for unit in wanted)]
    print(table(lines))
    failures = missed(lines) + [f"{_name(line)}: {fault}" for line in lines for fault in line["faults"]]
    for failure in failures:
        print(f"FAILED (seed {seed}) {failure}")
    return 1 if failures else 0


async def _play(seed: int, kind: Kind, record: Record, left: list[Unit]) -> None:
    runner = Runner(seed, kind, record)
    try:
        for unit in left:
            try:
                line = await runner.play(unit)
            except NoSmallDisk as reason:
                print(f"{unit.scenario} {unit.store}: not played, no small disk can be mounted ({reason})", flush=True)
                continue
            how = f"FAILED (seed {seed}): {'; '.join(line['faults'])}" if line["faults"] else "held"
            print(f"{_name(line)}: {how} [{line['seconds']:g} s, back after {line['back_seconds']:g} s]", flush=True)
    finally:
        await runner.close()


def _is(line: dict[str, Any], unit: Unit) -> bool:
    return (line["scenario"], line["store"], line["number"]) == (unit.scenario, unit.store, unit.number)


def _name(line: dict[str, Any]) -> str:
    return f"{line['scenario']} {line['store']} {line['number']}"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--set", choices=("ci", "long"), default="ci", help="light rounds, or all of them")
    parser.add_argument(
        "--part", type=int, metavar="K", help="only the K-th of the parts, each of which ends within an hour"
    )
    parser.add_argument("--store", choices=("sqlite", "postgresql"), help="only on this one")
    parser.add_argument("--seed", type=int, help="repeat the run that printed this")
    parser.add_argument("--state", type=Path, metavar="DIR", help="keep results here, and go on where they end")
    parser.add_argument("--only", choices=sorted(BY_NAME), metavar="NAME", help="only this scenario")
    return parser.parse_args()


if __name__ == "__main__":
    warnings.simplefilter("default")
    sys.exit(main())
