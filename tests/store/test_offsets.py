"""The event log: offsets rise, and a reader that reads "after" never skips one that commits late."""

import threading

from alertd.service.runtime import Runtime
from alertd.store import alerts, instance
from alertd.store.engine import Store
from tests.installation import START, alert, settle
from tests.threads import at_once

WRITERS, EACH = 8, 15


def append(store: Store, alert_id: str, number: int) -> int:
    with store.write() as connection:
        return alerts.append_event(connection, alert_id, {"number": number}, START)


def after(store: Store, offset: int) -> list[alerts.Event]:
    with store.read() as connection:
        return alerts.events_after(connection, offset, 1_000)


def test_offsets_rise_and_the_head_is_the_last_one(rt: Runtime) -> None:
    settle(rt, "taro")
    alert_id = alert(rt)
    first = after(rt.store, 0)[-1].offset
    offsets = [append(rt.store, alert_id, number) for number in range(3)]
    assert offsets == [first + 1, first + 2, first + 3]
    with rt.store.read() as connection:
        assert instance.head(connection).offset == offsets[-1]
        assert [event.offset for event in alerts.events_after(connection, first, 2)] == offsets[:2]


def test_an_event_that_is_undone_leaves_no_trace(rt: Runtime) -> None:
    settle(rt, "taro")
    alert_id = alert(rt)
    before = after(rt.store, 0)
    try:
        with rt.store.write() as connection:
            alerts.append_event(connection, alert_id, {}, START)
            raise InterruptedError
    except InterruptedError:
        pass
    assert after(rt.store, 0) == before
    assert append(rt.store, alert_id, 1) > before[-1].offset


def test_readers_beside_many_writers_see_every_event_once_and_in_order(rt: Runtime) -> None:
    settle(rt, "taro")
    alert_id = alert(rt)
    done = threading.Event()
    ended: list[int] = []

    def write(number: int) -> list[int]:
        return [append(rt.store, alert_id, number * EACH + count) for count in range(EACH)]

    def read() -> list[int]:
        seen: list[int] = []
        while True:
            last = done.is_set()
            seen += [event.offset for event in after(rt.store, seen[-1] if seen else 0)]
            if last:
                return seen
            done.wait(0.001)  # readers that never rest leave the writers no time

    def run(number: int) -> list[int]:
        if number >= WRITERS:
            return read()
        try:
            return write(number)
        finally:
            ended.append(number)
            if len(ended) == WRITERS:
                done.set()

    results = at_once(run, range(WRITERS + 2))
    everything = [event.offset for event in after(rt.store, 0)]
    assert everything == sorted(set(everything))
    assert {offset for offsets in results[:WRITERS] for offset in offsets} < set(everything)
    for offsets in results[:WRITERS]:
        assert offsets == sorted(offsets)
    assert results[WRITERS] == results[WRITERS + 1] == everything
