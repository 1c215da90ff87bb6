"""What is counted as it changes is what is there: compared with a recount of the rows, whatever has happened."""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from random import Random
from typing import Any, Final

import pytest
from sqlalchemy import Table, select

from alertd.core.acknowledgement import Way
from alertd.core.audience import Audience
from alertd.core.delivery import HOPEFUL, Receipt, State, Transition
from alertd.core.errors import Fault
from alertd.core.escalation import Plan, Repeat, Step
from alertd.service import directory, escalating, importing, watching
from alertd.service.acknowledging import Acknowledged, Acknowledging, acknowledge_all
from alertd.service.revising import Revision, revise
from alertd.service.runtime import Runtime
from alertd.store import alerts, deliveries, evidence, receipts, schema, settlements, tallies, unsent
from alertd.store.deliveries import Claim
from alertd.store.rows import Row
from alertd.store.settlements import Settlement
from tests.installation import ASK, BOSS, Clock, alert, group, settle
from tests.threads import at_once

PEOPLE: Final = [f"p{number:02}" for number in range(12)]
GROUPS: Final = ["city", "fire", "pumps", "water"]
PLAN: Final = Plan(
    (
        Step(0, ("email",)),
        Step(60, ("sms",), repeat=Repeat(120, 2)),
        Step(180, ("email", "sms"), "supervisors"),
    )
)
ENDS: Final = [
    Transition(State.SENT, provider_id="named"),
    Transition(State.SENT, provider_id="named"),
    Transition(State.FAILED, "no"),
    Transition(State.FAILED, "gone", retire=True),
    Transition(State.HELD, "our fault", counted=False),
    Transition(State.EXPIRED, "too late"),
]


def everything(rt: Runtime, table: Table) -> list[Row]:
    with rt.store.read() as connection:
        return [row._asdict() for row in connection.execute(select(table))]


class Recount:
    """An alert's counts from nothing but its rows, person by person."""

    def __init__(self, rt: Runtime, alert_id: str) -> None:
        self.alert = next(row for row in everything(rt, schema.alerts) if row["id"] == alert_id)
        self.rows = [row for row in everything(rt, schema.deliveries) if row["alert_id"] == alert_id]
        mine = [row for row in everything(rt, schema.recipients) if row["alert_id"] == alert_id]
        self.person = {row["id"]: row["person_id"] for row in mine}
        self.audience = {row["person_id"] for row in mine if row["part"] == "audience"}
        self.answers = {
            row["person_id"]: row
            for row in everything(rt, schema.acknowledgements)
            if row["alert_id"] == alert_id and row["last_revision"] >= self.alert["asked_revision"]
        }
        self.acknowledged = self.audience & self.answers.keys()
        self.supervisors = {row["person_id"] for row in mine} - self.audience
        self.supervisors |= {self.person[row["recipient_id"]] for row in self.rows if row["step"] == 2}
        self.unreachable = self.audience - self.acknowledged - self._reachable(rt)
        self.outdated = self._outdated()
        self.groups = self._groups(rt)

    def _reachable(self, rt: Runtime) -> set[str]:
        hope = HOPEFUL | ({State.CANCELLED} if self.alert["state"] == "cancelled" else set())
        found = {self.person[row["recipient_id"]] for row in self.rows if row["state"] in hope}
        waiting = {row["step"] for row in everything(rt, schema.steps) if self._is_to_come(row)}
        later = {channel for step in waiting for channel in PLAN.steps[step].channels}
        usable = [row for row in everything(rt, schema.subscriptions) if row["retired_at"] is None]
        return found | {row["person_id"] for row in usable if row["channel"] in later}

    def _is_to_come(self, run: Row) -> bool:
        ours = run["alert_id"] == self.alert["id"] and self.alert["state"] == "active"
        return ours and run["started_at"] is None and run["step"] < 2

    def _outdated(self) -> set[str]:
        now, there = self.alert["revision"], ("sent", "delivered")
        new = {row["subscription_id"] for row in self.rows if row["revision"] == now and row["state"] in there}
        old = [row for row in self.rows if row["revision"] < now and row["state"] in (*there, "sending")]
        return {self.person[row["recipient_id"]] for row in old if row["subscription_id"] not in new}

    def _groups(self, rt: Runtime) -> dict[str, tuple[int, int]]:
        parents = {row["id"]: row["parent_id"] for row in everything(rt, schema.groups)}
        inside: dict[str, set[str]] = {}
        for row in everything(rt, schema.group_members):
            at: str | None = row["group_id"]
            while at is not None:
                inside.setdefault(at, set()).add(row["person_id"])
                at = parents[at]
        counted = {
            name: (len(members & self.audience), len(members & self.acknowledged)) for name, members in inside.items()
        }
        return {name: counts for name, counts in counted.items() if counts[0]}

    def summary(self) -> dict[str, Any]:
        return {
            "recipients": len(self.audience),
            "acknowledged": len(self.acknowledged),
            "outstanding": len(self.audience - self.acknowledged),
            "unreachable": len(self.unreachable),
            "outdated": len(self.outdated),
            "supervisors": len(self.supervisors),
            "answers": Counter(self.answers[person]["last_answer"] for person in self.acknowledged),
            "channels": Counter((row["channel"], row["state"]) for row in self.rows),
            "evidence": Counter(
                (row["channel"], rung)
                for row in self.rows
                for rung in ("accepted", "delivered", "displayed", "opened")
                if row[f"{rung}_at"]
            ),
            "groups": self.groups,
        }


def counted(rt: Runtime, alert_id: str) -> dict[str, Any]:
    """The summary in the shape of `Recount.summary`."""
    told = watching.summarise(rt, alert_id)
    flat = {
        name: Counter({(channel, kind): n for channel, counts in told[name].items() for kind, n in counts.items() if n})
        for name in ("channels", "evidence")
    }
    groups = {each["id"]: (each["recipients"], each["acknowledged"]) for each in told["groups"]}
    return {**told, **flat, "groups": groups}


def check(rt: Runtime, alert_id: str) -> None:
    recount, told = Recount(rt, alert_id), counted(rt, alert_id)
    for name, number in recount.summary().items():
        if name == "answers":
            assert told[name] == {choice.id: number[choice.id] for choice in ASK.choices}
        else:
            assert told[name] == number, name


def listed(rt: Runtime, alert_id: str, state: watching.Filter | None) -> list[str]:
    """Everybody in that list, read in pages of two."""
    found: list[str] = []
    after: str | None = None
    while True:
        items, after = watching.list_recipients(rt, alert_id, state=state, after=after, limit=2)
        found += [item["person"]["id"] for item in items]
        if after is None:
            return found


def check_lists(rt: Runtime, alert_id: str) -> None:
    recount = Recount(rt, alert_id)
    wanted: dict[watching.Filter | None, set[str]] = {
        None: recount.audience,
        "outstanding": recount.audience - recount.acknowledged,
        "acknowledged": recount.acknowledged,
        "unreachable": recount.unreachable,
        "outdated": recount.outdated,
        "supervisors": recount.supervisors,
    }
    for state, people in wanted.items():
        assert listed(rt, alert_id, state) == sorted(people), state
    everybody = [item for page in watching.read_everybody(rt, alert_id) for item in page]
    assert [item["person"]["id"] for item in everybody] == [
        *sorted(recount.audience),
        *sorted(recount.supervisors - recount.audience),
    ]
    for item in everybody:
        person = item["person"]["id"]
        told = (item["state"] == "acknowledged", item["unreachable"], item["outdated"], item["part"] == "audience")
        sets = (recount.acknowledged, recount.unreachable, recount.outdated, recount.audience)
        assert told == tuple(person in each for each in sets), person


class Fate:
    """Whatever can happen to an installation, at random but the same for the same seed."""

    def __init__(self, rt: Runtime, clock: Clock, seed: int) -> None:
        self.rt, self.clock, self.random = rt, clock, Random(seed)
        self.alerts: list[str] = []
        self.claims: list[Claim] = []
        for name, parent in (("city", None), ("fire", "city"), ("water", "city"), ("pumps", "water")):
            group(rt, name, parent)
        for person in PEOPLE:
            self.move(person)
        group(rt, "city", None, ["p00", "p01"])
        self.post()

    def one(self) -> str:
        """Let one thing happen; its name."""
        often = (self.claim, self.settle, self.answer, self.see)
        seldom = (
            *(self.post, self.give_back, self.hear, self.revise, self.ask_again, self.cancel, self.go_on, self.release),
            *(self.move_somebody, self.take_in, self.move_group, self.compact),
        )
        what: Callable[[], None] = self.random.choice((*often, *often, *often, *seldom))
        with suppress(Fault):
            what()
        return what.__name__

    def post(self) -> None:
        if len(self.alerts) < 3:
            audience = Audience(everyone=True) if not self.alerts else Audience(groups=("water",), people=("p05",))
            self.alerts.append(alert(self.rt, plan=PLAN, ask=ASK, audience=audience))

    def claim(self) -> None:
        with self.rt.store.write() as connection:
            channel, limit = self.random.choice(("email", "sms")), self.random.randint(1, 8)
            self.claims += deliveries.claim(connection, channel, "w1", limit, self.rt.now())

    def settle(self) -> None:
        some = [claim for claim in self.claims if self.random.random() < 0.7]
        self.claims = [claim for claim in self.claims if claim not in some]
        ends = [*ENDS, Transition(State.PENDING, "busy", due_at=self.rt.now() + timedelta(seconds=30))]
        ended = [Settlement(claim, "x", self.random.choice(ends)) for claim in some]
        with self.rt.store.write() as connection:
            settlements.settle(connection, ended, self.rt.now())

    def give_back(self) -> None:
        with self.rt.store.write() as connection:
            if self.random.random() < 0.5:
                deliveries.unclaim(connection, self.claims, self.rt.now())
            else:
                unsent.lapse(connection, ["w1"], self.rt.now())

    def see(self) -> None:
        row = self.random.choice(everything(self.rt, schema.deliveries))
        with self.rt.store.write() as connection:
            if self.random.random() < 0.5:
                evidence.displayed(connection, row["id"], self.rt.now())
            else:
                evidence.opened(connection, row["recipient_id"], row["channel"], self.rt.now())

    def hear(self) -> None:
        receipt = Receipt("named", self.random.random() < 0.5, "news", retire=self.random.random() < 0.3)
        with self.rt.store.write() as connection:
            receipts.keep(connection, self.random.choice(("email", "sms")), receipt, self.rt.now())
            receipts.apply(connection, self.rt.now())

    def answer(self) -> None:
        wishes = [
            Acknowledging(
                Way.PAGE,
                self.random.choice(self.alerts),
                self.random.choice(PEOPLE),
                answer=self.random.choice(("safe", "hurt", None)),
                revision=self.random.choice((None, 1)),
            )
            for _ in range(self.random.randint(1, 4))
        ]
        acknowledge_all(self.rt, wishes)

    def _say(self, revision: Revision) -> None:
        revise(self.rt, BOSS, self.random.choice(self.alerts), revision)

    def revise(self) -> None:
        self._say(Revision("update", "続報", "べつの所へ。"))

    def ask_again(self) -> None:
        self._say(Revision("update", "続報", "もう一度。", ask_again=True))

    def cancel(self) -> None:
        if self.random.random() < 0.3:
            self._say(Revision("cancel", "解除", "もう安全です。"))

    def go_on(self) -> None:
        self.clock.move(seconds=self.random.choice((10, 60, 60, 200, 200, 40_000)))
        with self.rt.store.write() as connection:
            alerts.expire(connection, self.rt.now())
            unsent.supersede_left(connection, self.rt.now())
        escalating.start_due(self.rt)

    def release(self) -> None:
        with self.rt.store.write() as connection:
            unsent.release(connection, ["email", "sms"], self.rt.now())

    def move(self, person: str) -> None:
        settle(
            self.rt,
            person,
            groups=tuple(self.random.sample(GROUPS, self.random.randint(0, 2))),
            email=self.random.choice((None, f"{person}@example.jp", f"new-{person}@example.jp")),
            phone=self.random.choice((None, "090-1234-56" + person[1:])),
        )

    def move_somebody(self) -> None:
        self.move(self.random.choice(PEOPLE))

    def take_in(self) -> None:
        lines = [f"{person},{person},{self.random.choice(GROUPS)}" for person in self.random.sample(PEOPLE, 4)]
        text = "\n".join(("id,name,groups", f"new{self.random.randint(0, 3)},new,fire", *lines))
        importing.import_people(self.rt, BOSS, text, dry_run=False)

    def move_group(self) -> None:
        name, parent = self.random.choice(GROUPS), self.random.choice((None, *GROUPS))
        directory.put_group(self.rt, BOSS, name, name, parent, ["p00"])

    def compact(self) -> None:
        with self.rt.store.write() as connection:
            tallies.compact(connection)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_happens_the_counts_are_what_a_recount_finds(rt: Runtime, clock: Clock, seed: int) -> None:
    fate = Fate(rt, clock, seed)
    for turn in range(70):
        happened = fate.one()
        for alert_id in fate.alerts:
            try:
                check(rt, alert_id)
                if turn % 8 == 0:
                    check_lists(rt, alert_id)
            except AssertionError as error:
                error.add_note(f"after {happened}, turn {turn}")
                raise


@pytest.fixture
def crowd(rt: Runtime) -> str:
    """An alert to forty people in two groups."""
    group(rt, "city")
    group(rt, "fire", "city")
    group(rt, "water", "city")
    for number in range(40):
        settle(rt, f"c{number:02}", groups=("fire",) if number % 2 else ("fire", "water"))
    return alert(rt, plan=PLAN, ask=ASK)


def test_answers_outcomes_moves_and_compaction_at_once_lose_nothing(rt: Runtime, crowd: str) -> None:
    def answer(turn: int) -> None:
        persons = [f"c{number:02}" for number in range(turn, 40, 8)]
        wishes = [Acknowledging(Way.PAGE, crowd, person, answer="safe") for person in persons]
        assert all(isinstance(result, Acknowledged) for result in acknowledge_all(rt, wishes))

    def deliver(turn: int) -> None:
        after = ENDS[2 if turn % 2 else 0]
        with rt.store.write() as connection:
            claims = deliveries.claim(connection, "email", f"w{turn}", 10, rt.now())
        with rt.store.write() as connection:
            settlements.settle(connection, [Settlement(claim, "x", after) for claim in claims], rt.now())

    def move(turn: int) -> None:
        for number in range(turn, 40, 8):
            settle(rt, f"c{number:02}", groups=("water",))

    def compact(_turn: int) -> None:
        for _ in range(10):
            with rt.store.write() as connection:
                tallies.compact(connection)

    work = [(act, turn) for turn in range(4) for act in (answer, deliver, move, compact)]
    at_once(lambda each: each[0](each[1]), work)
    check(rt, crowd)
    check_lists(rt, crowd)
    compact(0)
    check(rt, crowd)


def test_while_an_alert_asks_again_answers_to_what_it_said_before_do_not_count(rt: Runtime, crowd: str) -> None:
    def act(turn: int) -> None:
        if turn == 4:
            revise(rt, BOSS, crowd, Revision("update", "もう一度", "", ask_again=True))
        else:
            acknowledge_all(rt, [Acknowledging(Way.PAGE, crowd, f"c{n:02}") for n in range(turn, 40, 4)])

    at_once(act, range(5))
    check(rt, crowd)


def test_compaction_leaves_nothing_behind_and_changes_no_number(rt: Runtime, crowd: str) -> None:
    before = counted(rt, crowd)
    assert bool(everything(rt, schema.tally_changes)) is not rt.store.is_sqlite
    with rt.store.write() as connection:
        assert not tallies.compact(connection)
    assert everything(rt, schema.tally_changes) == everything(rt, schema.doubts) == []
    assert counted(rt, crowd) == before
