"""Plays rounds in running places, one after another."""

import contextlib
import random
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from tests.acceptance.town import Person
from tests.chaos.hands import Hands
from tests.chaos.ledger import Ledger, Way
from tests.chaos.place import Opened, Place, StoreKind, open_place
from tests.chaos.record import Record, Unit
from tests.chaos.scenario import People, Scenario
from tests.chaos.scenarios import SCENARIOS
from tests.chaos.stage import PATIENCE, Limits, Result, Stage
from tests.services import short_directory

Kind = Literal["ci", "long"]
BY_NAME: Final = {scenario.name: scenario for scenario in SCENARIOS}
_PART_SECONDS: Final = 3_200.0
_DISK: Final = "192m"  # holds the ballast and a small town


class NoSmallDisk(Exception):
    """This machine does not let us mount a small disk."""


def units(kind: Kind, stores: Sequence[StoreKind], only: str | None = None) -> list[Unit]:
    """What a set consists of, in the order in which it is played."""
    return [
        Unit(scenario.name, store, number)
        for store in stores
        for scenario in SCENARIOS
        if store in scenario.stores and only in (None, scenario.name)
        for number in range(scenario.rounds.light if kind == "ci" else scenario.rounds.long)
    ]


def parts(found: Sequence[Unit]) -> list[list[Unit]]:
    """Parts to be played one after another, each of which ends within an hour."""
    made: list[list[Unit]] = [[]]
    passed = 0.0
    for unit in found:
        seconds = BY_NAME[unit.scenario].rounds.seconds
        if passed + seconds > _PART_SECONDS:
            made.append([])
            passed = 0.0
        made[-1].append(unit)
        passed += seconds
    return made


@contextlib.contextmanager
def small_disk() -> Iterator[Path]:
    """A directory whose `data` is a disk of its own, soon full. Raises NoSmallDisk."""
    directory = short_directory(durable=True)
    data = directory / "data"
    data.mkdir(mode=0o700, parents=True)
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={_DISK},mode=700", "chaos", str(data)], capture_output=True, text=True
    )
    try:
        if mount.returncode:
            raise NoSmallDisk(mount.stderr.strip())
        yield directory
    finally:
        if not mount.returncode:
            subprocess.run(["umount", "--lazy", str(data)], check=True)
        shutil.rmtree(directory, ignore_errors=True)


@dataclass
class _Scene:
    """A running place with its people."""

    store: str
    people: People
    own_disk: bool
    settings: Mapping[str, str]
    opened: Opened
    ledger: Ledger
    hands: Hands
    stack: contextlib.ExitStack

    async def close(self) -> None:
        await self.hands.close()
        await self.opened.close()
        self.stack.close()


class Runner:
    """Plays units. A place is used again by the next unit that can, unless a round went wrong in it."""

    def __init__(self, seed: int, kind: Kind, record: Record, *, is_timed: bool = True) -> None:
        """`is_timed`: whether it is a fault when all is back later than the table allows."""
        self.seed = seed
        self._is_timed = is_timed
        self._light = kind == "ci"
        self.record = record
        self._scene: _Scene | None = None

    async def close(self) -> None:
        if self._scene is not None:
            scene, self._scene = self._scene, None
            await scene.close()

    async def play(self, unit: Unit) -> dict[str, Any]:
        """The unit's line in the record."""
        started_at = time.monotonic()
        scenario = BY_NAME[unit.scenario]
        scene = await self._scene_for(scenario, unit)
        place = scene.opened.place
        dice = random.Random(f"{self.seed} {unit.scenario} {unit.store} {unit.number}")
        stage = Stage(place, scene.ledger, scene.hands, unit.number, dice, self._light)
        limits = Limits()
        try:
            limits = await scenario.play(stage)
        except Exception as error:  # whatever breaks a round is that round's fault, and the next one is played
            stage.faults.append(f"{type(error).__name__}: {error}")
        place.behave()
        if not self._is_timed:
            limits = replace(limits, back=None)
        result = await self._finish(stage, limits)
        _retire(place, stage.retired)
        if result.faults:
            self._keep_log(place, unit)
            await self.close()
        return self.record.add(unit, result, time.monotonic() - started_at)

    async def _finish(self, stage: Stage, limits: Limits) -> Result:
        try:
            return await stage.finish(limits)
        except Exception as error:
            faults = [*stage.faults, f"cannot be counted: {type(error).__name__}: {error}"]
            return Result(0, 0, 0, 0, {}, 0, PATIENCE, stage.proof, stage.notes, faults)

    async def _scene_for(self, scenario: Scenario, unit: Unit) -> _Scene:
        people = People() if self._light else scenario.people
        wanted = (unit.store, people, scenario.own_disk, scenario.settings)
        scene = self._scene
        if scene and (scene.store, scene.people, scene.own_disk, scene.settings) != wanted:
            await self.close()
        if self._scene is None:
            self._scene = await _open(unit.store, people, scenario)
        return self._scene

    def _keep_log(self, place: Place, unit: Unit) -> None:
        if directory := self.record.directory:
            name = f"{unit.scenario}-{unit.store}-{unit.number}.log"
            (directory / name).write_text(place.log())


async def _open(store: str, people: People, scenario: Scenario) -> _Scene:
    stack = contextlib.ExitStack()
    directory = stack.enter_context(small_disk()) if scenario.own_disk else None

    async def prepare(place: Place) -> None:
        place.settings.update(scenario.settings)

    opened = await open_place("sqlite" if store == "sqlite" else "postgresql", directory, prepare)
    place = opened.place
    try:
        await place.inhabit(
            people.count, push=people.push, two_devices=people.two_devices, phones=people.phones, connected=0
        )
    except BaseException:
        await opened.close()
        raise
    ledger = Ledger(place)
    connected: list[Person] = list(place.people.values())[: people.connected]
    hands = Hands(place, ledger, connected, scenario.rounds.seconds)
    scene = _Scene(store, people, scenario.own_disk, scenario.settings, opened, ledger, hands, stack)
    try:
        await hands.listening()
    except BaseException:
        await scene.close()
        raise
    return scene


def _retire(place: Place, ways: set[Way]) -> None:
    for person in place.people.values():
        if ("sms", person.phone) in ways:
            person.phone = None
        if ("email", person.email) in ways:
            person.email = None
