"""The life of a delivery: which states follow which, and how long it waits between attempts."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertd.core.alert import SEVERITIES, Severity
from alertd.core.delivery import (
    LEGAL,
    RETRY,
    TERMINAL,
    Accepted,
    Deferred,
    Gone,
    Misconfigured,
    Outcome,
    Receipt,
    Refused,
    State,
    Transition,
    after_attempt,
    after_display,
    after_receipt,
    outcome_code,
    rank,
    wait_before,
)

NOW = datetime(2026, 11, 22, 3, 4, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)

seconds = st.integers(0, 100_000).map(lambda number: timedelta(seconds=number))
severities = st.sampled_from(SEVERITIES)
jitters = st.floats(0, 1, exclude_max=True)
attempts = st.integers(1, 6_000)
outcomes: st.SearchStrategy[Outcome] = st.one_of(
    st.builds(Accepted, st.none() | st.text()),
    st.builds(Deferred, st.text(), st.none() | seconds, st.booleans(), st.booleans()),
    st.builds(Refused, st.text()),
    st.builds(Gone, st.text()),
    st.builds(Misconfigured, st.text(), st.booleans()),
)
receipts = st.builds(Receipt, st.just("SM1"), st.sampled_from([True, False, None]), st.none() | st.text())


def after(outcome: Outcome, *, attempt: int = 1, severity: Severity = "severe", left: timedelta = HOUR) -> Transition:
    return after_attempt(outcome, attempt=attempt, severity=severity, now=NOW, expires_at=NOW + left, jitter=0.5)


class TestStates:
    def test_every_state_has_its_successors_and_only_terminal_ones_have_none(self) -> None:
        assert LEGAL.keys() == set(State)
        assert {state for state, successors in LEGAL.items() if not successors} == TERMINAL
        assert {state for state in State if state.is_terminal} == TERMINAL

    @given(outcomes, attempts, severities, seconds.filter(bool), jitters, st.booleans())
    def test_an_attempt_ends_in_a_legal_state(
        self, outcome: Outcome, attempt: int, severity: Severity, left: timedelta, jitter: float, elsewhere: bool
    ) -> None:
        transition = after_attempt(
            outcome,
            attempt=attempt,
            severity=severity,
            now=NOW,
            expires_at=NOW + left,
            jitter=jitter,
            elsewhere=elsewhere,
        )
        assert transition.state in LEGAL[State.SENDING]
        # It is due again exactly when it is to be tried again, and never when the alert is over.
        assert (transition.due_at is not None) is (transition.state is State.PENDING)
        assert transition.due_at is None or NOW <= transition.due_at < NOW + left
        assert transition.due_at != NOW or isinstance(outcome, Misconfigured)

    @given(st.sampled_from(State), st.lists(receipts, max_size=5))
    def test_late_news_moves_a_delivery_legally_and_only_forward(self, state: State, news: list[Receipt]) -> None:
        for receipt in news:
            successor = after_receipt(state, receipt)
            assert successor is state or successor in LEGAL[state]
            assert after_receipt(successor, receipt) is successor
            state = successor

    @given(st.sampled_from(State), st.integers(0, 5))
    def test_a_phone_that_shows_it_moves_a_delivery_legally_and_once(self, state: State, attempts: int) -> None:
        successor = after_display(state, attempts)
        assert successor is state or successor in LEGAL[state]
        assert after_display(successor, attempts) is successor


@pytest.mark.parametrize(
    ("outcome", "transition"),
    [
        (Accepted("SM1"), Transition(State.SENT, provider_id="SM1")),
        (Accepted(), Transition(State.SENT)),
        (Refused("too large"), Transition(State.FAILED, "too large")),
        (Gone("410"), Transition(State.FAILED, "410", retire=True)),
        (Misconfigured("401"), Transition(State.HELD, "401", counted=False)),
        (Deferred("503"), Transition(State.PENDING, "503", due_at=NOW + timedelta(seconds=0.5))),
        (Deferred("429", timedelta(minutes=5)), Transition(State.PENDING, "429", due_at=NOW + timedelta(minutes=5))),
    ],
)
def test_what_an_outcome_makes_of_a_delivery(outcome: Outcome, transition: Transition) -> None:
    assert after(outcome) == transition


def test_what_is_our_fault_at_one_provider_goes_to_another_at_once_and_does_not_count() -> None:
    after_it = after_attempt(
        Misconfigured("401"),
        attempt=1,
        severity="severe",
        now=NOW,
        expires_at=NOW + HOUR,
        jitter=0.5,
        elsewhere=True,
    )
    assert after_it == Transition(State.PENDING, "401", due_at=NOW, counted=False)


def test_only_an_address_that_is_gone_is_retired() -> None:
    outcomes = (Accepted(), Deferred("x"), Refused("x"), Gone("x"), Misconfigured("x"))
    assert [after(outcome).retire for outcome in outcomes] == [False, False, False, True, False]


@pytest.mark.parametrize("severity", SEVERITIES)
def test_after_the_last_try_it_gives_up_and_says_so(severity: Severity) -> None:
    tries = RETRY[severity].tries
    ages = timedelta(days=28)
    assert after(Deferred("busy"), attempt=tries - 1, severity=severity, left=ages).state is State.PENDING
    last = after(Deferred("busy"), attempt=tries, severity=severity, left=ages)
    assert last == Transition(State.FAILED, f"gave up after {tries} tries: busy")


@pytest.mark.parametrize(("left", "wait"), [(29, None), (30, None), (31, 1), (60, 30), (61, 60), (3600, 60)])
def test_a_try_that_would_come_when_the_alert_is_over_is_made_before_its_end(left: int, wait: int | None) -> None:
    after_it = after(Deferred("429", timedelta(seconds=60)), left=timedelta(seconds=left))
    assert after_it.state is (State.EXPIRED if wait is None else State.PENDING)
    assert after_it.due_at == (None if wait is None else NOW + timedelta(seconds=wait))


class TestWaits:
    @pytest.mark.parametrize(
        ("severity", "steps"),
        [
            ("extreme", [1, 2, 4, 8, 16, 32, 60, 60]),
            ("severe", [1, 2, 4, 8, 16, 32, 60, 60]),
            ("unknown", [1, 2, 4, 8, 16, 32, 60, 60]),
            ("moderate", [5, 10, 20, 40, 80, 160, 320, 600, 600]),
            ("minor", [5, 10, 20, 40, 80, 160, 320, 600, 600]),
        ],
    )
    def test_they_double_up_to_the_longest_which_is_shorter_for_a_severe_alert(
        self, severity: Severity, steps: list[int]
    ) -> None:
        longest = [wait_before(attempt, severity, 0.0, None).total_seconds() for attempt in range(1, len(steps) + 1)]
        assert longest == steps

    @given(attempts, severities, jitters)
    def test_jitter_spreads_them_evenly_over_the_whole_step(
        self, attempt: int, severity: Severity, jitter: float
    ) -> None:
        step = wait_before(attempt, severity, 0.0, None)
        wait = wait_before(attempt, severity, jitter, None)
        assert timedelta() < wait <= step <= RETRY[severity].longest
        assert abs(wait - step * (1 - jitter)) <= timedelta(microseconds=1)

    @given(attempts, severities, jitters, seconds)
    def test_the_provider_s_wish_is_a_floor_and_no_more(
        self, attempt: int, severity: Severity, jitter: float, wish: timedelta
    ) -> None:
        own = wait_before(attempt, severity, jitter, None)
        assert wait_before(attempt, severity, jitter, wish) == max(own, wish)


@pytest.mark.parametrize(
    ("state", "delivered", "result"),
    [
        (State.SENT, True, State.DELIVERED),
        (State.SENT, False, State.FAILED),
        (State.SENT, None, State.SENT),
        (State.DELIVERED, False, State.DELIVERED),
        (State.FAILED, True, State.FAILED),
        (State.PENDING, True, State.PENDING),
        (State.SENDING, True, State.SENDING),
        (State.CANCELLED, True, State.CANCELLED),
        (State.EXPIRED, False, State.EXPIRED),
    ],
)
def test_what_late_news_makes_of_a_delivery(state: State, delivered: bool | None, result: State) -> None:
    assert after_receipt(state, Receipt("SM1", delivered)) is result


@pytest.mark.parametrize(
    ("state", "attempts", "result"),
    [
        (State.SENT, 1, State.DELIVERED),
        (State.SENDING, 1, State.DELIVERED),
        (State.PENDING, 2, State.DELIVERED),
        (State.PENDING, 0, State.PENDING),
        (State.HELD, 1, State.HELD),
        (State.FAILED, 1, State.FAILED),
        (State.EXPIRED, 1, State.EXPIRED),
        (State.CANCELLED, 1, State.CANCELLED),
        (State.DELIVERED, 1, State.DELIVERED),
    ],
)
def test_a_message_that_a_phone_shows_has_arrived_where_it_may_have_gone(
    state: State, attempts: int, result: State
) -> None:
    assert after_display(state, attempts) is result


def test_real_alerts_go_before_drills_before_tests_and_whoever_has_no_other_way_before_the_others() -> None:
    order = [
        rank(kind=kind, drill=drill, alone=alone, acknowledged=acknowledged)
        for kind, drill in (("alert", False), ("alert", True), ("test", True))
        for alone, acknowledged in ((True, False), (False, False), (False, True))
    ]
    assert order == sorted(set(order))
    assert rank(kind="alert", drill=False, alone=True, acknowledged=True) == order[2], "an answer weighs more"
    assert rank(kind="notice", drill=False, alone=True) == order[0]
    assert rank(kind="self-test", drill=True, alone=True) == order[6]


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("410 Gone", "410"),
        ("400 21211 not a number", "21211"),
        ("429 20429 too many", "20429"),
        ("550 5.1.1 no such box", "550"),
        ("ClientConnectorError: refused", "ClientConnectorError"),
        ("internal error: ZeroDivisionError", "internal error"),
        ("TaroYamadaError: 090", "other"),
        ("taro@example.jp", "other"),
        ("no answer within 10 s", "time-out"),
        ("the subscription's keys are unusable", "other"),
        ("4101 is no code", "other"),
        ("", ""),
        (None, ""),
    ],
)
def test_outcomes_are_counted_by_the_provider_s_number_or_the_error_s_name(reason: str | None, code: str) -> None:
    assert outcome_code(reason) == code


@given(st.text(), st.sampled_from(["", "550 ", "400 21211 ", "A" * 50 + "Error: ", "OSError: ", "internal error: "]))
def test_a_code_is_a_number_or_one_of_a_few_words_that_fit_their_column(reason: str, front: str) -> None:
    code = outcome_code(front + reason)
    assert len(code) <= 40
    assert code.isdecimal() or code in {"", "other", "time-out", "internal error", "OSError"} or code in reason
