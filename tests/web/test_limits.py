"""Counters: whom they stop, for how long, and that they are forgotten."""

import contextlib

import pytest

from alertd.core.errors import TooMany
from alertd.web.limits import BAD_CREDENTIALS, SIGN_INS, Limits


class Seconds:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def spend_all(limits: Limits, who: str) -> None:
    for _ in range(SIGN_INS.amount):
        limits.spend(SIGN_INS, who)


def test_it_stops_whoever_was_too_quick_until_their_minute_is_over() -> None:
    seconds = Seconds()
    limits = Limits(seconds)
    spend_all(limits, "taro")
    seconds.now += 59.5
    with pytest.raises(TooMany) as refused:
        limits.spend(SIGN_INS, "taro")
    assert refused.value.retry_after == 1
    seconds.now += 0.5
    limits.spend(SIGN_INS, "taro")


def test_it_stops_nobody_else_and_nothing_else() -> None:
    limits = Limits(Seconds())
    spend_all(limits, "taro")
    limits.spend(SIGN_INS, "hana")
    limits.spend(BAD_CREDENTIALS, "taro")


def test_asking_whether_there_is_any_left_takes_none() -> None:
    limits = Limits(Seconds())
    for _ in range(SIGN_INS.amount + 1):
        limits.require_left(SIGN_INS, "taro")
    spend_all(limits, "taro")
    with pytest.raises(TooMany):
        limits.require_left(SIGN_INS, "taro")


def test_what_is_over_is_forgotten_and_what_is_not_is_kept() -> None:
    seconds = Seconds()
    limits = Limits(seconds)
    for number in range(1_000):
        limits.spend(SIGN_INS, f"p{number}")
    seconds.now += 59
    spend_all(limits, "taro")
    seconds.now += 1
    limits.spend(SIGN_INS, "hana")
    assert len(limits._windows) == 2
    with contextlib.suppress(TooMany):
        limits.spend(SIGN_INS, "taro")
        pytest.fail("taro's minute is not over")
