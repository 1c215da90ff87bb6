"""Lanes: how many attempts at once, circuits that open and close, providers that take over, rates that are kept."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from alertd.core.flow import (
    EVERY_LANE,
    IDLE_SECONDS,
    LANES_MOST,
    OPEN_LONGEST,
    PAUSE_LONGEST,
    PLACES_MOST,
    PLACES_START,
    PROVIDER_OPENS_AFTER,
    REFUSED_SECONDS,
    CircuitFact,
    Flow,
    Flows,
    Places,
    Room,
    Stand,
    Throttle,
)

PLENTY = 10_000.0


def room(flows: Flows, now: float, limit: int = 1_000, **most: float) -> Room:
    return flows.room(limit, {"primary": PLENTY, "secondary": PLENTY} | most, now)


def take_all(flows: Flows, lane: str, now: float, **most: float) -> Counter[str]:
    """How many may begin on a lane now, by provider."""
    free = room(flows, now, 1_000, **most)
    return Counter(iter(lambda: free.take(lane), None))


def fail(flows: Flows, lane: str, times: int, now: float, provider: str = "primary") -> None:
    for _ in range(times):
        flows.fail(flows.begin(provider, lane, now), "503", now)


def succeed(flows: Flows, lane: str, now: float, provider: str = "primary") -> None:
    flows.succeed(flows.begin(provider, lane, now), now)


def standing(flows: Flows, now: float) -> list[tuple[str, str, str]]:
    return [(fact.provider, fact.lane, fact.stand.value) for fact in flows.not_closed(now)]


class TestPlaces:
    def flow(self) -> Flow:
        return Flow(Places(), 0)

    def test_a_lane_starts_with_some_places_and_uses_them_up(self) -> None:
        flow = self.flow()
        for left in range(PLACES_START, 0, -1):
            assert flow.room(0) == left
            flow.begin(0)
        assert flow.room(0) == 0

    def test_each_success_gives_one_more_up_to_the_most(self) -> None:
        flow = self.flow()
        for count in range(PLACES_MOST):
            assert flow.room(0) == min(PLACES_START + count, PLACES_MOST)
            flow.begin(0)
            flow.succeed(0)
        assert flow.room(0) == PLACES_MOST

    def test_a_failure_halves_them_and_never_takes_the_last(self) -> None:
        flow = Flow(Places(64, 256), 0)
        limits = []
        for _ in range(20):
            flow.fail(flow.begin(0), "503", 0)
            limits.append(flow.limit)
            flow.begin(0)
            flow.succeed(0)
        assert limits[:3] == [32, 16, 8]
        assert min(limits) >= 1


class TestCircuit:
    def opened(self, proven: bool = False) -> Flow:
        """A flow whose circuit opened at 100."""
        flow = Flow(Places(), 100)
        if proven:
            flow.begin(100)
            flow.succeed(100)
        for _ in range(5 if proven else 3):
            flow.fail(flow.begin(100), "503", 100)
        return flow

    @pytest.mark.parametrize(("proven", "bears"), [(True, 5), (False, 3)])
    def test_it_opens_after_failures_in_a_row_sooner_where_nothing_ever_worked(self, proven: bool, bears: int) -> None:
        flow = Flow(Places(), 0)
        if proven:
            flow.begin(0)
            flow.succeed(0)
        for _ in range(bears - 1):
            flow.fail(flow.begin(0), "503", 0)
            assert flow.circuit.stand(0) is Stand.CLOSED
        flow.fail(flow.begin(0), "503", 0)
        assert flow.circuit.stand(0) is Stand.OPEN
        assert flow.room(0) == 0

    def test_a_success_in_between_begins_the_count_anew(self) -> None:
        flow = Flow(Places(), 0)
        for _ in range(10):
            flow.fail(flow.begin(0), "503", 0)
            flow.fail(flow.begin(0), "503", 0)
            flow.begin(0)
            flow.succeed(0)
        assert flow.circuit.stand(0) is Stand.CLOSED

    def test_after_a_second_it_lets_one_probe_through(self) -> None:
        flow = self.opened()
        assert flow.room(100.999) == 0
        assert (flow.circuit.stand(101), flow.room(101)) == (Stand.HALF_OPEN, 1)
        flow.begin(101)
        assert flow.room(150) == 0, "one at a time, however long it takes"

    def test_every_probe_that_fails_doubles_the_wait_up_to_the_longest(self) -> None:
        flow, now, waits = self.opened(), 100.0, []
        for _ in range(8):
            began = now
            while flow.room(now) == 0:
                now += 0.5
            waits.append(now - began)
            flow.fail(flow.begin(now), "503", now)
        assert waits == [1, 2, 4, 8, 16, OPEN_LONGEST, OPEN_LONGEST, OPEN_LONGEST]

    def test_a_success_closes_it_and_the_next_opening_is_short_again(self) -> None:
        flow = self.opened()
        flow.fail(flow.begin(101), "503", 101)
        flow.begin(103)
        flow.succeed(103)
        assert flow.circuit.stand(103) is Stand.CLOSED
        assert flow.room(103) > 0
        for _ in range(5):
            flow.fail(flow.begin(104), "503", 104)
        assert flow.room(104.9) == 0
        assert flow.room(105) == 1

    def test_what_began_before_it_opened_and_fails_later_is_no_news(self) -> None:
        flow = Flow(Places(), 0)
        numbers = [flow.begin(0) for _ in range(PLACES_START)]
        for number in numbers:
            flow.fail(number, "no answer", 10)
        assert flow.room(10.999) == 0
        assert flow.room(11) == 1, "61 stragglers made nothing longer"
        assert flow.under_way == 0

    def test_a_straggler_does_not_decide_for_the_probe(self) -> None:
        flow = Flow(Places(), 0)
        straggler = flow.begin(0)
        for _ in range(3):
            flow.fail(flow.begin(0), "503", 0)
        flow.begin(1)
        flow.fail(straggler, "no answer", 2)
        assert flow.room(2) == 0, "the probe is still under way"
        assert flow.circuit.stand(2) is Stand.HALF_OPEN

    def test_a_probe_that_says_nothing_leaves_it_to_another(self) -> None:
        flow = self.opened()
        number = flow.begin(101)
        assert flow.room(101) == 0
        flow.let_go(number, 101)
        assert flow.room(101) == 1


class TestPause:
    def test_nothing_begins_before_its_end_and_no_circuit_opens(self) -> None:
        flow = Flow(Places(), 0)
        for _ in range(20):
            flow.pause(flow.begin(0), 7, 0)
        assert flow.circuit.stand(0) is Stand.CLOSED
        assert flow.room(6.999) == 0
        assert flow.room(7) == PLACES_START // 2, "one burst of them is one sign of too much"

    def test_it_is_never_longer_than_a_minute(self) -> None:
        flow = Flow(Places(), 0)
        for _ in range(2):
            flow.pause(flow.begin(0), 3_600, 0)
        assert flow.room(PAUSE_LONGEST - 0.001) == 0
        assert flow.room(PAUSE_LONGEST) > 0

    def test_a_shorter_one_does_not_end_a_longer_one(self) -> None:
        flow = Flow(Places(), 0)
        numbers = [flow.begin(0) for _ in range(3)]
        for number, until in zip(numbers, (10, 10, 1), strict=True):
            flow.pause(number, until, 0)
        assert flow.room(9) == 0

    def test_one_that_is_too_much_for_a_single_device_pauses_nobody_else(self) -> None:
        flow = Flow(Places(), 0)
        for _ in range(10):
            flow.pause(flow.begin(0), 10, 0)
            flow.begin(0)
            flow.succeed(0)
        assert flow.room(0) == PLACES_START + 10


class FlowMachine(RuleBasedStateMachine):
    """Whatever happens to a lane, it keeps its promises."""

    @initialize()
    def begin_anew(self) -> None:
        self.now = 0.0
        self.flow = Flow(Places(4, 8), self.now)
        self.under_way: list[int] = []

    @rule(seconds=st.floats(0, 40))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.flow.room(self.now) > 0)
    @rule()
    def begin_one(self) -> None:
        before = self.flow.room(self.now)
        self.under_way.append(self.flow.begin(self.now))
        assert self.flow.room(self.now) == before - 1

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 7), end=st.sampled_from(["succeed", "fail", "pause", "let go"]))
    def end_one(self, which: int, end: str) -> None:
        number = self.under_way.pop(which % len(self.under_way))
        match end:
            case "succeed":
                self.flow.succeed(self.now)
                assert self.flow.circuit.stand(self.now) is Stand.CLOSED
            case "fail":
                self.flow.fail(number, "503", self.now)
            case "pause":
                self.flow.pause(number, self.now + 5, self.now)
            case _:
                self.flow.let_go(number, self.now)

    @invariant()
    def no_more_than_its_places(self) -> None:
        assert self.flow.under_way == len(self.under_way)
        assert 1 <= self.flow.limit <= 8
        assert 0 <= self.flow.room(self.now) <= 8
        if self.flow.circuit.stand(self.now) is not Stand.CLOSED:
            assert self.flow.room(self.now) <= 1

    @invariant()
    def nothing_is_shut_for_good(self) -> None:
        later = self.now + PAUSE_LONGEST + OPEN_LONGEST
        assert self.under_way or self.flow.room(later) > 0


TestFlowMachine = FlowMachine.TestCase


class TestLanes:
    def flows(self, *providers: str) -> Flows:
        return Flows(providers or ("primary",), 768)

    def test_a_lane_that_fails_takes_nothing_from_the_others(self) -> None:
        flows = self.flows()
        fail(flows, "bad", 3, 0)
        assert take_all(flows, "bad", 0) == {}
        assert take_all(flows, "good", 0) == {"primary": PLACES_START}
        assert standing(flows, 0) == [("primary", "bad", "open")]

    def test_what_is_full_and_what_is_free_can_be_asked_for(self) -> None:
        flows = self.flows()
        fail(flows, "bad", 3, 0)
        free = room(flows, 0)
        assert free.lanes() == (True, ["bad"])
        while free.take("other"):
            continue
        assert free.lanes() == (True, ["bad", "other"])
        assert free.is_short

    def test_no_more_than_the_limit_begin_in_all(self) -> None:
        free = room(self.flows(), 0, limit=3)
        assert not free.is_short
        assert [free.take(lane) for lane in "abcd"] == ["primary"] * 3 + [None]

    def test_no_more_than_a_provider_s_rate_allows_begin_in_all(self) -> None:
        free = room(self.flows(), 0, primary=2)
        assert [free.take(lane) for lane in "abc"] == ["primary", "primary", None]
        assert free.lanes() == (False, [])

    def test_of_several_lanes_none_may_have_every_place_a_sole_one_may(self) -> None:
        flows = Flows(("primary",), 32)
        for _ in range(100):
            succeed(flows, "a.jp", 0)
            succeed(flows, "", 0)
        assert take_all(flows, "a.jp", 0) == {"primary": 16}
        assert take_all(flows, "", 0) == {"primary": 32}
        assert take_all(Flows(("primary",), 1), "a.jp", 0) == {"primary": 1}

    def test_thousands_of_lanes_do_not_stay_in_memory(self) -> None:
        flows = self.flows()
        for number in range(LANES_MOST + 500):
            succeed(flows, f"{number}.jp", number / 100)
        assert len(flows) == LANES_MOST
        succeed(flows, "late.jp", 60 + IDLE_SECONDS)
        assert len(flows) == 1

    def test_a_lane_with_something_under_way_is_not_forgotten(self) -> None:
        flows = self.flows()
        passage = flows.begin("primary", "slow.jp", 0)
        succeed(flows, "late.jp", 10 * IDLE_SECONDS)
        flows.fail(passage, "no answer", 10 * IDLE_SECONDS)
        assert len(flows) == 2

    def test_an_open_circuit_tells_since_when_and_why(self) -> None:
        flows = self.flows()
        fail(flows, "bad", 3, 5)
        fail(flows, "bad", 1, 6)
        assert flows.not_closed(9) == [CircuitFact("primary", "bad", Stand.HALF_OPEN, "503", 5)]


class TestTwoProviders:
    def flows(self) -> Flows:
        return Flows(("primary", "secondary"), 768)

    def test_the_first_is_used_while_it_works_even_when_it_is_full(self) -> None:
        flows = self.flows()
        assert take_all(flows, "a", 0) == {"primary": PLACES_START}
        assert take_all(flows, "a", 0, primary=0) == {}

    def test_the_second_takes_over_the_lane_that_fails_at_the_first(self) -> None:
        flows = self.flows()
        fail(flows, "a", 3, 0)
        assert take_all(flows, "a", 0) == {"secondary": PLACES_START}
        assert take_all(flows, "b", 0) == {"primary": PLACES_START}

    def test_one_probe_finds_out_whether_the_first_is_well_again(self) -> None:
        flows = self.flows()
        fail(flows, "a", 3, 0)
        assert take_all(flows, "a", 1) == {"primary": 1, "secondary": PLACES_START}
        succeed(flows, "a", 1)
        assert "secondary" not in take_all(flows, "a", 1)

    def test_the_second_takes_over_while_the_first_is_paused(self) -> None:
        flows = self.flows()
        for _ in range(2):
            flows.pause(flows.begin("primary", "a", 0), 10, 0)
        assert take_all(flows, "a", 9) == {"secondary": PLACES_START}
        assert take_all(flows, "b", 9) == {"primary": PLACES_START}
        assert set(take_all(flows, "a", 10)) == {"primary"}

    def test_who_has_refused_a_recipient_is_not_asked_again_before_the_other(self) -> None:
        flows = self.flows()
        free = room(flows, 0)
        refusals = [{}, {"primary": 1}, {"primary": 1, "secondary": 1}, {"primary": 1, "secondary": 2}]
        assert [free.take("a", each) for each in refusals] == ["primary", "secondary", "primary", "primary"]
        fail(flows, "a", 3, 0, "secondary")
        assert room(flows, 0).take("a", {"primary": 1}) is None, "the other is waited for"
        assert room(Flows(("primary",), 768), 0).take("a", {"primary": 1}) == "primary"

    def test_a_fault_of_ours_at_the_first_hands_every_lane_to_the_second(self) -> None:
        flows = self.flows()
        assert flows.refuse(flows.begin("primary", "a", 0), "20003", 0)
        for lane in ("a", "b", ""):
            assert set(take_all(flows, lane, REFUSED_SECONDS - 1)) == {"secondary"}
        assert standing(flows, 0) == [("primary", EVERY_LANE, "open")]
        free = room(flows, REFUSED_SECONDS)
        assert [free.take("a"), free.take("a"), free.take("b")] == ["primary", "secondary", "secondary"]
        assert flows.refuse(flows.begin("primary", "a", REFUSED_SECONDS), "20003", REFUSED_SECONDS)
        assert set(take_all(flows, "a", 2 * REFUSED_SECONDS - 1)) == {"secondary"}
        succeed(flows, "b", 2 * REFUSED_SECONDS)
        assert standing(flows, 2 * REFUSED_SECONDS) == []

    def test_while_its_probe_is_under_way_everything_else_goes_to_the_second(self) -> None:
        flows = self.flows()
        flows.refuse(flows.begin("primary", "a", 0), "20003", 0)
        flows.begin("primary", "a", REFUSED_SECONDS)
        assert set(take_all(flows, "b", REFUSED_SECONDS + 5)) == {"secondary"}

    def test_a_fault_of_ours_at_both_is_nobody_s_to_take_over(self) -> None:
        flows = self.flows()
        assert flows.refuse(flows.begin("primary", "a", 0), "20003", 0)
        assert not flows.refuse(flows.begin("secondary", "a", 0), "535", 0)

    def test_a_fault_of_ours_at_the_only_one_opens_nothing(self) -> None:
        flows = Flows(("primary",), 768)
        assert not flows.refuse(flows.begin("primary", "a", 0), "401", 0)
        assert take_all(flows, "a", 0) == {"primary": PLACES_START}

    def test_a_first_that_fails_on_many_lanes_in_a_row_is_left_alone_as_a_whole(self) -> None:
        flows = self.flows()
        for number in range(PROVIDER_OPENS_AFTER - 1):
            fail(flows, f"{number}.jp", 1, 0)
        assert take_all(flows, "new.jp", 0) == {"primary": PLACES_START}
        fail(flows, "last.jp", 1, 0)
        assert take_all(flows, "new.jp", 0) == {"secondary": PLACES_START}
        free = room(flows, 1)
        assert [free.take("x.jp"), free.take("y.jp")] == ["primary", "secondary"], "one probe for all lanes"

    def test_few_lanes_do_not_make_a_provider_ill_nor_do_lanes_between_which_others_work(self) -> None:
        flows = self.flows()
        for _ in range(PROVIDER_OPENS_AFTER):
            fail(flows, "a.jp", 1, 0)
            fail(flows, "b.jp", 1, 0)
        assert take_all(flows, "new.jp", 0) == {"primary": PLACES_START}
        for number in range(3 * PROVIDER_OPENS_AFTER):
            fail(flows, f"{number}.jp", 1, 0)
            succeed(flows, "well.jp", 0)
        assert take_all(flows, "new.jp", 0) == {"primary": PLACES_START}

    def test_an_only_provider_is_never_left_alone_as_a_whole(self) -> None:
        flows = Flows(("primary",), 768)
        for number in range(5 * PROVIDER_OPENS_AFTER):
            fail(flows, f"{number}.jp", 1, 0)
        assert take_all(flows, "new.jp", 0) == {"primary": PLACES_START}

    @given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["ok", "fail", "pause", "refuse"])), max_size=60))
    def test_whatever_happens_no_lane_is_shut_for_good(self, story: list[tuple[str, str]]) -> None:
        flows = self.flows()
        for now, (lane, end) in enumerate(story):
            provider = room(flows, now).take(lane)
            if provider is None:
                continue
            passage = flows.begin(provider, lane, now)
            match end:
                case "ok":
                    flows.succeed(passage, now)
                case "fail":
                    flows.fail(passage, "503", now)
                case "pause":
                    flows.pause(passage, now + 3, now)
                case _:
                    flows.refuse(passage, "401", now)
        for lane in "abc":
            assert take_all(flows, lane, len(story) + REFUSED_SECONDS).total() > 0


def test_room_for_any_has_places_at_the_first_provider_whatever_the_lane() -> None:
    free = Room.for_any(3)
    assert free.lanes() == (True, [])
    assert [free.take(lane) for lane in "abab"] == ["primary"] * 3 + [None]


class TestThrottle:
    def test_a_second_s_worth_goes_at_once_and_then_so_many_a_second(self) -> None:
        throttle = Throttle(10, 0)
        assert throttle.fits(1, 0) == 10
        for _ in range(10):
            throttle.take(1, 0)
        assert throttle.fits(1, 0) == 0
        assert throttle.ready_at(1, 0) == pytest.approx(0.1)
        assert throttle.fits(1, 0.5) == 5
        assert throttle.fits(1, 100) == 10, "what was not used is not saved up"

    def test_messages_cost_what_they_cost(self) -> None:
        throttle = Throttle(10, 0)
        assert throttle.fits(3, 0) == 3
        throttle.take(9, 0)
        assert throttle.fits(3, 0) == 0
        assert throttle.ready_at(3, 0) == pytest.approx(0.2)

    def test_one_that_costs_more_than_a_second_s_worth_goes_and_the_others_wait_the_longer(self) -> None:
        throttle = Throttle(2, 0)
        assert throttle.fits(5, 0) == 1
        throttle.take(5, 0)
        assert throttle.free(0) == -3
        assert throttle.ready_at(1, 0) == 2

    def test_workers_share_it(self) -> None:
        throttle = Throttle(10, 0)
        throttle.share(4, 0)
        assert throttle.free(0) == 2.5
        throttle.take(2.5, 0)
        assert throttle.ready_at(1, 0) == pytest.approx(0.4)
        throttle.share(1, 0)
        assert throttle.ready_at(1, 0) == pytest.approx(0.1)
        throttle.share(0, 0)
        assert throttle.ready_at(1, 0) == pytest.approx(0.1)

    def test_a_clock_that_stands_still_or_goes_back_gives_nothing(self) -> None:
        throttle = Throttle(10, 100)
        throttle.take(10, 100)
        assert throttle.free(99) == 0
        assert throttle.free(100.5) == pytest.approx(5)

    @given(
        st.floats(0.5, 100),
        st.lists(st.tuples(st.floats(0, 3), st.integers(1, 4)), max_size=50),
    )
    def test_never_more_than_the_rate_and_one_second_s_worth(
        self, rate: float, wishes: list[tuple[float, int]]
    ) -> None:
        throttle, now, taken = Throttle(rate, 0.0), 0.0, 0
        for wait, cost in wishes:
            now += wait
            while throttle.fits(cost, now):
                throttle.take(cost, now)
                taken += cost
            assert throttle.ready_at(cost, now) > now
            assert taken <= rate * (now + 1) + 4 + 1e-6, "and what the dearest message owes"
