"""The disk is full: nothing new is taken on, and what was accepted goes its way. On a real, small file system."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from alertd.core.acknowledgement import Way
from alertd.core.delivery import State, Transition
from alertd.core.errors import DiskFull, StoreUnavailable
from alertd.service import heartbeat, reaching
from alertd.service.acknowledging import acknowledge_all, wish_of
from alertd.service.runtime import Runtime
from alertd.store import acknowledgements, deliveries, settlements
from alertd.store.ballast import Ballast, beside
from alertd.store.engine import Store
from alertd.store.settlements import Settlement
from tests.disks import SmallDisk, mounted
from tests.installation import Bell, Clock, actor, alert, make_runtime, post, settle
from tests.threads import at_once

MEGABYTE = 1024 * 1024


@dataclass
class Machine:
    disk: SmallDisk
    ballast: Ballast
    rt: Runtime


@pytest.fixture
def machine(data_dir: Path, sqlite_template: Path, clock: Clock, bell: Bell) -> Iterator[Machine]:
    """An installation on a disk of eight megabytes, its ballast in place."""
    with mounted(data_dir / "disk", 8) as disk:
        shutil.copy(sqlite_template, disk.path / "alertd.db")
        ballast = Ballast(disk.path / "ballast", MEGABYTE)
        assert ballast.put_in_place()
        store = Store(f"sqlite:///{disk.path}/alertd.db", ballast)
        yield Machine(disk, ballast, make_runtime(store, clock, bell))
        store.close()


def test_it_really_takes_the_space(data_dir: Path) -> None:
    ballast = Ballast(data_dir / "ballast", MEGABYTE)
    assert not ballast.is_in_place
    assert ballast.put_in_place()
    assert os.stat(ballast.path).st_blocks * 512 >= MEGABYTE
    assert os.listdir(data_dir) == ["ballast"]
    with ballast.path.open("wb") as file:
        file.truncate(MEGABYTE - 1)
    assert not ballast.is_in_place


def test_any_number_may_make_it_at_once(data_dir: Path) -> None:
    ballast = Ballast(data_dir / "ballast", MEGABYTE)
    at_once(Ballast.put_in_place, [ballast] * 8)
    assert ballast.is_in_place
    assert os.listdir(data_dir) == ["ballast"]


def test_only_an_sqlite_database_has_one() -> None:
    assert beside("postgresql+psycopg://host/name") is None
    found = beside("sqlite:////var/lib/alertd/alertd.db")
    assert found is not None
    assert found.path == Path("/var/lib/alertd/ballast")


def test_a_full_disk_refuses_posts_in_words_and_everything_accepted_goes_on(machine: Machine) -> None:
    rt = machine.rt
    people = [f"p{number:03}" for number in range(100)]
    for person in people:
        settle(rt, person)
    alert_id = alert(rt)
    heartbeat.start(rt, "w1", "worker", "email")
    machine.disk.fill()
    write_until_full(rt)
    assert not machine.ballast.path.exists()

    for refused in (lambda: post(rt), lambda: reaching.send_test(rt, actor("p000"))):
        with pytest.raises(DiskFull, match="the disk is full"):
            refused()

    with rt.store.write() as connection:
        claims = deliveries.claim(connection, "email", "w1", 200, rt.now())
    assert len(claims) == 100
    sent = [Settlement(claim, "accepted", Transition(State.SENT, provider_id="m")) for claim in claims]
    with rt.store.write() as connection:
        assert len(settlements.settle(connection, sent, rt.now())) == 100
    for person in people:
        (kept,) = acknowledge_all(rt, [wish_of(actor(person), alert_id, Way.API, comment="見ました" * 50)])
        assert not isinstance(kept, Exception)
    with rt.store.read() as connection:
        assert len(acknowledgements.of_people(connection, alert_id, people)) == 100

    assert not machine.ballast.put_in_place(), "there is no room for it yet"
    machine.disk.free()
    with pytest.raises(DiskFull):
        post(rt)
    assert machine.ballast.put_in_place()
    assert post(rt).body["alert"]["recipients"] == 100


def write_until_full(rt: Runtime) -> None:
    """Write what is never refused until the disk has no place for it: the log has room for a few commits."""
    with pytest.raises(StoreUnavailable, match="disk is full"):
        heartbeats(rt, 5_000)


def heartbeats(rt: Runtime, count: int) -> None:
    for _ in range(count):
        heartbeat.beat(rt, "w1", "worker", "email")


def test_a_disk_that_is_nearly_full_refuses_posts_before_anything_fails(machine: Machine) -> None:
    settle(machine.rt, "taro")
    machine.disk.fill()
    with pytest.raises(DiskFull):
        post(machine.rt)
    assert machine.ballast.is_in_place
    machine.disk.free()
    post(machine.rt)


def test_it_is_not_put_back_where_it_would_take_the_last_room(machine: Machine) -> None:
    machine.ballast.give_up()
    machine.disk.fill()
    assert not machine.ballast.put_in_place()
    assert sorted(path.name for path in machine.disk.path.iterdir() if path.name.startswith("ballast")) == []
