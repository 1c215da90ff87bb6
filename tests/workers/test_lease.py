"""A worker finds out by itself that others may have taken over what it held."""

from workers.lease import Lease


def test_it_is_fresh_while_heartbeats_reach_the_store() -> None:
    lease = Lease(100, seconds=8)
    for at in range(100, 200, 2):
        lease.renew(at)
        assert not lease.was_lost(at + 1)
        assert lease.is_fresh(at + 1)


def test_without_a_heartbeat_it_is_lost_until_the_next() -> None:
    lease = Lease(100, seconds=8)
    assert not lease.was_lost(104)
    assert lease.is_fresh(108)
    assert not lease.was_lost(108)
    assert not lease.is_fresh(108.1)
    assert lease.was_lost(109)
    assert not lease.is_fresh(109.5), "nothing may be sent before the store has been reached"
    lease.renew(110)
    assert lease.was_lost(110.5), "what was claimed before that heartbeat may be somebody else's"
    assert lease.is_fresh(111)
    assert not lease.was_lost(111)


def test_a_heartbeat_that_comes_first_after_a_standstill_hides_nothing() -> None:
    lease = Lease(100, seconds=8)
    assert not lease.was_lost(101)
    lease.renew(150)
    assert not lease.is_fresh(150)
    assert lease.was_lost(150.5)
    assert lease.is_fresh(150.5)


def test_a_standstill_right_after_a_heartbeat_is_seen() -> None:
    lease = Lease(100, seconds=8)
    assert not lease.was_lost(100)
    lease.renew(107)
    assert not lease.is_fresh(112), "nobody looked for too long"
    assert lease.was_lost(112)
    assert lease.is_fresh(112)
