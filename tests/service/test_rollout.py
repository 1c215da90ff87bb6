"""Very large audiences: laid down slice by slice, to exactly those who were meant when the alert was issued."""

import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import Connection, event, text, update

from alertd.core.acknowledgement import Way
from alertd.core.audience import Audience
from alertd.core.delivery import RANK_ACKNOWLEDGED, State
from alertd.core.errors import NotFound, StoreUnavailable
from alertd.core.escalation import Plan, Step
from alertd.core.roles import Role
from alertd.service import access, directory, escalating, importing, posting, rollout, watching
from alertd.service.acknowledging import Acknowledged, acknowledge_all, wish_of
from alertd.service.directory import PersonDraft
from alertd.service.revising import revise
from alertd.service.rollout import SLICE, NextVersion, change_people
from alertd.service.runtime import Runtime
from alertd.store import alerts, deliveries, following, people, rollouts, schema, steps, unsent
from alertd.store import rows as store_rows
from tests.installation import BOSS, Bell, Clock, actor, alert, group
from tests.service.test_revising import CANCEL, UPDATE
from tests.services import wait_until

CROWD = 2 * SLICE + 200
FIRST, LATE, LAST = "p0000", f"p{SLICE + 7:04}", f"p{CROWD - 1:04}"


def crowd(rt: Runtime, size: int = CROWD, groups: tuple[str, ...] = ()) -> None:
    """So many people with mail, every second of them with a phone too."""
    now, ids = rt.now(), [f"p{number:04}" for number in range(size)]
    with rt.store.write() as connection:
        version = people.bump_version(connection)
        people.add_all(connection, [{"id": person, "name": person} for person in ids], now, version)
        people.add_memberships(connection, [(name, person) for name in groups for person in ids])
        ways = [("email", {"email": f"{person}@example.jp"}, person) for person in ids]
        ways += [("sms", {"phone": f"+81900000{person[1:]}"}, person) for person in ids[::2]]
        people.add_subscriptions(
            connection,
            [
                directory.subscription_values(rt, person, channel, address, None, now)
                for channel, address, person in ways
            ],
        )


@pytest.fixture
def town(rt: Runtime) -> Runtime:
    crowd(rt)
    return rt


def rows(rt: Runtime, alert_id: str, person: str | None = None) -> list[Mapping[str, Any]]:
    """The deliveries that are laid down, of one person or of all."""
    with rt.store.read() as connection:
        told = following.page(connection, alert_id, "", CROWD)
        return deliveries.of_people(connection, alert_id, [person] if person else sorted(told))


def recipients(rt: Runtime, alert_id: str) -> set[str]:
    """Those who are laid down."""
    with rt.store.read() as connection:
        return set(following.page(connection, alert_id, "", CROWD))


def under_way(rt: Runtime) -> list[str]:
    with rt.store.read() as connection:
        return rollouts.under_way(connection)


def one_slice(rt: Runtime) -> None:
    """Lay down one more slice and no more, as somebody does who is then killed."""
    answers = iter([False, True])
    rollout.carry_on(rt, lambda: next(answers), SLICE)


def acknowledge(rt: Runtime, person: str, alert_id: str) -> Acknowledged | Exception:
    return acknowledge_all(rt, [wish_of(actor(person), alert_id, Way.API)])[0]


class TestSlices:
    def test_the_first_slice_comes_with_the_alert_and_the_others_after_it(self, town: Runtime, bell: Bell) -> None:
        number = alert(town)
        assert bell.rung == ["events", "work:email", "work:sms"]
        assert recipients(town, number) == {f"p{index:04}" for index in range(SLICE)}
        assert len(rows(town, number)) == SLICE * 3 // 2
        one_slice(town)
        assert len(recipients(town, number)) == 2 * SLICE
        assert under_way(town) == [number]
        rollout.carry_on(town)
        laid = rows(town, number)
        assert Counter(row["channel"] for row in laid) == {"email": CROWD, "sms": CROWD // 2}
        assert len({(row["person_id"], row["channel"]) for row in laid}) == len(laid)
        assert {row["state"] for row in laid} == {State.PENDING}
        assert under_way(town) == []
        assert bell.rung[3:] == ["work:email", "work:sms", f"changed:{number}"] * 2

    def test_what_it_says_of_itself(self, town: Runtime) -> None:
        number = alert(town)
        assert watching.read_alert(town, BOSS, number)["recipients"] == CROWD
        assert watching.read_course(town, number)["timetable"][0]["deliveries"] == SLICE * 3 // 2
        summary = watching.summarise(town, number)
        assert (summary["recipients"], summary["outstanding"], summary["unreachable"]) == (CROWD, CROWD, 0)
        rollout.carry_on(town)
        assert watching.read_course(town, number)["timetable"][0]["deliveries"] == CROWD * 3 // 2
        assert {**watching.summarise(town, number), "channels": {}} == {**summary, "channels": {}}

    def test_an_audience_of_exactly_one_slice_needs_no_more(self, rt: Runtime) -> None:
        crowd(rt, SLICE)
        number = alert(rt)
        assert (len(recipients(rt, number)), under_way(rt)) == (SLICE, [])

    def test_who_has_no_other_way_goes_first_in_every_slice(self, town: Runtime) -> None:
        number = alert(town)
        rollout.carry_on(town)
        alone = {row["person_id"] for row in rows(town, number) if row["rank"] == 0}
        assert alone == {f"p{index:04}" for index in range(1, CROWD, 2)}

    def test_groups_and_people_together_are_each_once(self, rt: Runtime) -> None:
        group(rt, "all")
        group(rt, "hall", parent="all")
        crowd(rt, groups=("all", "hall"))
        number = alert(rt, audience=Audience(groups=("all",), people=(LAST, FIRST)))
        rollout.carry_on(rt)
        assert len(recipients(rt, number)) == CROWD

    def test_quiet_hours_count_in_every_slice(self, town: Runtime, clock: Clock) -> None:
        clock.move(hours=11)  # 23:04 in Tokyo
        for person in (FIRST, LATE, LAST):
            directory.set_quiet_hours(town, actor(person), ("22:00", "06:30"))
        number = alert(town, severity="minor")
        rollout.carry_on(town)
        waiting = {row["person_id"] for row in rows(town, number) if row["due_at"] > clock()}
        assert waiting == {FIRST, LATE, LAST}

    def test_two_who_lay_down_at_once_lay_down_everybody_once(self, town: Runtime) -> None:
        numbers = [alert(town), alert(town)]
        threads = [threading.Thread(target=rollout.carry_on, args=(town,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for number in numbers:
            laid = rows(town, number)
            assert len({(row["person_id"], row["channel"]) for row in laid}) == len(laid) == CROWD * 3 // 2

    def test_an_alert_in_the_middle_of_another_has_its_turn_at_once(self, town: Runtime) -> None:
        alert(town)
        later: list[str] = []

        def stopped() -> bool:
            if rounds[0] == 1:
                later.append(alert(town))
            rounds[0] += 1
            return rounds[0] > 2

        rounds = [0]
        rollout.carry_on(town, stopped, SLICE)
        assert len(recipients(town, later[0])) == 2 * SLICE

    def test_an_alert_that_cannot_be_laid_down_keeps_no_other_waiting(self, town: Runtime) -> None:
        broken, whole = alert(town), alert(town)
        with town.store.write() as connection:
            connection.execute(update(schema.alerts).where(schema.alerts.c.id == broken).values(plan={}))
        for _ in range(2):
            with pytest.raises(KeyError):
                rollout.carry_on(town)
        assert under_way(town) == [broken]
        assert len(recipients(town, whole)) == CROWD

    def test_a_slice_that_is_cut_off_is_laid_down_again_whole(self, town: Runtime) -> None:
        number = alert(town)

        def cut(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
            if statement.startswith("INSERT INTO recipients"):
                if town.store.is_sqlite:
                    connection.exec_driver_sql("PRAGMA max_page_count = 1")  # the disk is full from here on
                else:
                    connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")

        event.listen(town.store.engine, "after_cursor_execute", cut)
        with pytest.raises(StoreUnavailable):
            rollout.carry_on(town)
        event.remove(town.store.engine, "after_cursor_execute", cut)
        assert len(recipients(town, number)) == SLICE
        town.store.engine.dispose()  # SQLite keeps the limit with the connection
        rollout.carry_on(town)
        laid = rows(town, number)
        assert len({(row["person_id"], row["channel"]) for row in laid}) == len(laid) == CROWD * 3 // 2

    def test_later_steps_wait_until_everybody_was_told(self, town: Runtime, clock: Clock) -> None:
        number = alert(town, plan=Plan((Step(0, ("email",)), Step(600, ("sms",)))))
        clock.move(seconds=600)
        with town.store.read() as connection:
            assert steps.due(connection, clock()) == []
        rollout.carry_on(town)
        assert escalating.start_due(town) == 1
        escalating.carry_on(town)
        assert len({row["person_id"] for row in rows(town, number) if row["step"] == 1}) == CROWD // 2


class TestAnswersBeforeTheirSlice:
    def test_an_answer_makes_its_recipient(self, town: Runtime) -> None:
        number = alert(town)
        kept = acknowledge(town, LATE, number)
        assert isinstance(kept, Acknowledged)
        assert kept.first
        assert {row["rank"] for row in rows(town, number, LATE)} == {RANK_ACKNOWLEDGED}
        rollout.carry_on(town)
        assert len(rows(town, number, LATE)) == 1
        assert len(recipients(town, number)) == CROWD
        assert watching.summarise(town, number)["acknowledged"] == 1

    def test_an_alert_that_is_not_theirs_is_nobodys(self, rt: Runtime) -> None:
        crowd(rt)
        directory.put_person(rt, BOSS, PersonDraft("other", "x"))
        number = alert(rt, audience=Audience(people=tuple(f"p{index:04}" for index in range(CROWD))))
        assert isinstance(acknowledge(rt, "other", number), NotFound)
        assert "other" not in recipients(rt, number)

    def test_who_waits_for_their_slice_sees_it_everywhere(self, town: Runtime) -> None:
        number = alert(town)
        late = actor(LATE)
        assert watching.read_alert(town, late, number)["id"] == number
        assert [each["id"] for each in watching.read_inbox(town, late)] == [number]
        assert [each["id"] for each in watching.read_alerts(town, late, before=None, limit=5)] == [number]
        assert [each["alert"] for each in posting.read_board(town, late, before=None, limit=5)] == [number]
        with town.store.read() as connection:
            assert rollouts.told_of(connection, number, [LATE, "boss"]) == {LATE}
            assert len(rollouts.told_of(connection, number)) == CROWD
            heard = alerts.events_for(
                connection, 0, 9, LATE, 9, every_alert=False, coming=rollouts.coming_to(connection, LATE)
            )
        assert [event.alert_id for event in heard] == [number]


class TestChangesMeanwhile:
    def test_who_was_meant_is_told_whatever_becomes_of_them(self, rt: Runtime) -> None:
        group(rt, "all")
        crowd(rt, groups=("all",))
        number = alert(rt, audience=Audience(groups=("all",)))
        moved, retired, renamed = LATE, f"p{SLICE + 8:04}", f"p{SLICE + 9:04}"
        directory.put_person(rt, BOSS, PersonDraft(moved, "x", email="elsewhere@example.jp"))
        directory.put_person(rt, BOSS, PersonDraft(retired, "x", email="r@example.jp", groups=("all",), active=False))
        access.set_role(rt, BOSS, renamed, Role.VIEWER)
        directory.set_quiet_hours(rt, actor(LAST), ("22:00", "06:00"))
        directory.put_person(rt, BOSS, PersonDraft("p9999", "new", groups=("all",)))
        rollout.carry_on(rt)
        assert recipients(rt, number) == {f"p{index:04}" for index in range(CROWD)}
        assert len(rows(rt, number, renamed)) == 1
        states = Counter(row["state"] for row in rows(rt, number, moved) if row["channel"] == "email")
        assert states == {State.PENDING: 1}
        with rt.store.read() as connection:
            (there,) = [row for row in people.subscriptions_of(connection, [moved]) if row["retired_at"] is None]
        assert there["address"] == {"email": "elsewhere@example.jp"}
        assert rows(rt, number, moved)[0]["subscription_id"] == there["id"]

    @pytest.mark.parametrize("way", ["group", "import"])
    def test_before_groups_or_many_people_change_everybody_is_laid_down(self, rt: Runtime, way: str) -> None:
        group(rt, "all")
        crowd(rt, groups=("all",))
        number = alert(rt, audience=Audience(groups=("all",)))
        if way == "group":
            group(rt, "all", parent=None)
        else:
            importing.import_people(rt, BOSS, f"id,name,groups\n{LATE},x,\n", dry_run=False)
        assert len(recipients(rt, number)) == CROWD
        assert under_way(rt) == []

    @pytest.mark.services
    def test_an_alert_in_the_middle_of_a_change_is_laid_down_before_it(self, town: Runtime) -> None:
        if town.store.is_sqlite:
            pytest.skip("SQLite has one writer")
        found: list[str] = []

        def change(connection: Connection, version: NextVersion) -> None:
            if not found:
                found.append(alert(town))
            people.put(connection, LATE, {"active": False}, town.now(), version())

        change_people(town, [LATE], change)
        rollout.carry_on(town)
        assert recipients(town, found[0]) == {f"p{index:04}" for index in range(CROWD)}
        assert len(rows(town, found[0], LATE)) == 1

    @pytest.mark.services
    @pytest.mark.parametrize("way", ["person", "import"])
    def test_a_new_address_and_a_revision_do_not_wait_for_each_other(self, rt: Runtime, way: str) -> None:
        if rt.store.is_sqlite:
            pytest.skip("SQLite has one writer")
        crowd(rt, 3)
        number = alert(rt)

        def move() -> None:
            if way == "person":
                directory.put_person(rt, BOSS, PersonDraft("p0001", "x", email="new@example.jp"))
            else:
                importing.import_people(rt, BOSS, "id,name,email\np0001,x,new@example.jp\n", dry_run=False)

        moving = threading.Thread(target=move)
        with rt.store.write() as connection:
            unsent.supersede(connection, number, 2, list(following.page(connection, number, "", CROWD).values()))
            moving.start()
            wait_until(lambda: _waits_for_a_lock(rt))
            alerts.append_event(connection, number, {}, rt.now())
        moving.join()
        with rt.store.read() as connection:
            person = people.get(connection, "p0001")
        assert person is not None
        assert person["email"] == "new@example.jp"

    @pytest.mark.services
    @pytest.mark.parametrize("moment", range(1, 5))
    def test_who_is_told_is_read_as_of_one_moment(self, rt: Runtime, moment: int) -> None:
        if rt.store.is_sqlite:
            pytest.skip("SQLite reads a snapshot")
        group(rt, "all")
        group(rt, "others")
        crowd(rt, groups=("all",))
        directory.put_person(rt, BOSS, PersonDraft("other", "x", groups=("others",)))
        number = alert(rt, audience=Audience(groups=("all",)))
        done: list[str] = []

        def meanwhile(*_: object) -> None:
            done.append("a statement")
            if len(done) == moment:
                directory.set_quiet_hours(rt, actor(LATE), ("22:00", "06:30"))
                group(rt, "others", parent="all")

        with rt.store.read() as connection:
            event.listen(connection, "after_cursor_execute", meanwhile)
            told = rollouts.told_of(connection, number)
        assert told == {f"p{index:04}" for index in range(CROWD)}
        assert len(done) >= moment


def _waits_for_a_lock(rt: Runtime) -> bool:
    query = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    with rt.store.read() as connection:
        return bool(connection.execute(query).scalar_one())


class TestRevisionsMeanwhile:
    def test_who_comes_after_an_update_gets_it_alone(self, town: Runtime) -> None:
        number = alert(town)
        revise(town, BOSS, number, UPDATE)
        rollout.carry_on(town)
        assert {row["revision"] for row in rows(town, number, LATE)} == {2}
        assert {row["revision"] for row in rows(town, number, FIRST)} == {1, 2}
        pending = Counter((row["person_id"], row["channel"]) for row in rows(town, number) if row["state"] == "pending")
        assert (len(pending), set(pending.values())) == (CROWD * 3 // 2, {1})

    def test_who_comes_after_it_was_called_off_gets_nothing_and_stands_there(self, town: Runtime) -> None:
        number = alert(town)
        revise(town, BOSS, number, CANCEL)
        rollout.carry_on(town)
        assert len(recipients(town, number)) == CROWD
        late = rows(town, number, LATE)
        assert [(row["state"], row["revision"], row["reason"]) for row in late] == [
            (State.CANCELLED, 1, "superseded by revision 2")
        ]
        assert not [row for row in rows(town, number) if row["state"] == State.PENDING]

    def test_who_comes_after_it_ran_out_gets_nothing(self, town: Runtime, clock: Clock) -> None:
        number = alert(town)
        clock.move(days=2)
        with town.store.write() as connection:
            assert alerts.expire(connection, clock()) == [number]
        rollout.carry_on(town)
        assert {row["state"] for row in rows(town, number)} == {State.EXPIRED}


def test_a_list_is_one_parameter_however_long_it_is(rt: Runtime) -> None:
    names = [f"n{number}" for number in range(70_000)] + ['"', "\\", "漢字 "]
    with rt.store.read() as connection:
        assert set(connection.execute(store_rows.listed(connection, names)).scalars()) == set(names)
