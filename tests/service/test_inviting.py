"""Invitations: for whom, by whom, for how long, and taken back."""

from datetime import timedelta

import pytest

from alertd.core.errors import Invalid, NotFound, Unauthenticated
from alertd.core.roles import Role
from alertd.service import access, inviting
from alertd.service.inviting import invite
from alertd.service.reaching import subscribe
from alertd.service.runtime import Actor, Runtime
from tests.installation import PUBLIC_URL, Clock, actor, group, settle

WEEK = timedelta(days=7)


@pytest.fixture
def manager(rt: Runtime) -> Actor:
    group(rt, "town")
    group(rt, "fire", "town")
    settle(rt, "manager", role="manager", groups=("town",))
    settle(rt, "keiko", groups=("fire",), language="en")
    settle(rt, "chief", role="admin", groups=("fire",), name="長")
    settle(rt, "left", groups=("fire",), active=False)
    settle(rt, "other")
    return actor("manager", Role.MANAGER)


def secret(url: str) -> str:
    assert url.startswith(f"{PUBLIC_URL}/sign-in/")
    return url.rpartition("/")[2]


def test_everybody_in_a_group_gets_a_link_that_works_once(rt: Runtime, manager: Actor) -> None:
    made, above = invite(rt, manager, ["town"], ["other"], life=WEEK, only_new=False)
    assert [each.person["id"] for each in made] == ["keiko", "manager", "other"]
    assert above == ["長"]
    keiko = made[0]
    assert (keiko.person["language"], keiko.expires_at) == ("en", rt.now() + WEEK)
    access.open_session_by_link(rt, secret(keiko.url))
    with pytest.raises(Unauthenticated):
        access.open_session_by_link(rt, secret(keiko.url))


def test_whoever_has_a_device_may_be_left_out(rt: Runtime, manager: Actor) -> None:
    subscribe(rt, actor("keiko"), "webpush", {"endpoint": "https://push.example/1"}, None)
    made, _ = invite(rt, manager, ["town"], [], life=WEEK, only_new=True)
    assert [each.person["id"] for each in made] == ["manager"]
    made, _ = invite(rt, manager, ["fire"], ["keiko"], life=WEEK, only_new=True)
    assert [each.person["id"] for each in made] == ["keiko"]


def test_nobody_makes_a_link_by_which_they_would_be_mightier(rt: Runtime, manager: Actor) -> None:
    with pytest.raises(Invalid, match="higher role"):
        invite(rt, manager, [], ["keiko", "chief"], life=WEEK, only_new=False)
    assert access.list_links(rt, None, 9) == []
    made, above = invite(rt, actor("chief", Role.ADMIN), ["fire"], [], life=WEEK, only_new=False)
    assert ([each.person["id"] for each in made], above) == (["chief", "keiko"], [])


@pytest.mark.parametrize("people", [["nobody"], ["left"], [], ["x" * 10_000]])
def test_who_cannot_be_invited_is_said(rt: Runtime, manager: Actor, people: list[str]) -> None:
    with pytest.raises(Invalid):
        invite(rt, manager, [], people, life=WEEK, only_new=False)
    with pytest.raises(Invalid):
        invite(rt, manager, ["nowhere"], ["keiko"], life=WEEK, only_new=False)
    assert access.list_links(rt, None, 9) == []


def test_too_many_for_one_print_are_refused(rt: Runtime, manager: Actor) -> None:
    with pytest.raises(Invalid, match=f"at most {inviting.AT_ONCE}"):
        invite(rt, manager, [], [f"p{number}" for number in range(inviting.AT_ONCE + 1)], life=WEEK, only_new=False)


def test_a_new_sheet_ends_the_one_that_was_lost(rt: Runtime, manager: Actor) -> None:
    (lost,), _ = invite(rt, manager, [], ["keiko"], life=WEEK, only_new=False)
    (of_other,), _ = invite(rt, manager, [], ["other"], life=WEEK, only_new=False)
    (new,), _ = invite(rt, manager, [], ["keiko"], life=WEEK, only_new=False)
    with pytest.raises(Unauthenticated):
        access.open_session_by_link(rt, secret(lost.url))
    assert access.open_session_by_link(rt, secret(new.url)).id
    assert access.open_session_by_link(rt, secret(of_other.url)).id


def test_a_link_is_listed_until_it_is_used_taken_back_or_too_old(rt: Runtime, manager: Actor, clock: Clock) -> None:
    made, _ = invite(rt, manager, ["town"], ["other"], life=WEEK, only_new=False)
    urls = {each.person["id"]: each.url for each in made}
    assert [link.person_id for link in access.list_links(rt, "keiko", 9)] == ["keiko"]
    access.open_session_by_link(rt, secret(urls["other"]))
    (link,) = access.list_links(rt, "keiko", 9)
    access.revoke_link(rt, manager, link.id)
    with pytest.raises(Unauthenticated):
        access.read_link(rt, secret(urls["keiko"]))
    with pytest.raises(NotFound):
        access.revoke_link(rt, manager, link.id)
    assert [link.person_id for link in access.list_links(rt, None, 9)] == ["manager"]
    clock.move(days=8)
    assert access.list_links(rt, None, 9) == []
