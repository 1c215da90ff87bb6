"""Who is asking: tokens, sessions, one-time links, passwords."""

from dataclasses import replace

import pytest
from sqlalchemy import text

from alertd.core.errors import Invalid, NotFound, Unauthenticated
from alertd.core.roles import Role
from alertd.service import access, directory
from alertd.service.access import LINK_LIFE, SESSION_LIFE
from alertd.service.directory import PersonDraft
from alertd.service.runtime import Actor, Runtime
from alertd.store.credentials import Kind
from tests.installation import BOSS, Clock, actor, settle, token
from tests.threads import at_once

PASSWORD = "correct horse battery"


def authenticate(rt: Runtime, kind: Kind, secret: str) -> Actor:
    """Who holds one token or session, asked for among others that nobody holds."""
    other, found, another = access.authenticate_all(rt, [(kind, "nobody's"), (kind, secret), (kind, secret + "x")])
    assert isinstance(other, Unauthenticated)
    assert isinstance(another, Unauthenticated)
    if isinstance(found, Exception):
        raise found
    return found


def everything(rt: Runtime) -> str:
    """All that a thief of the database would have."""
    with rt.store.read() as connection:
        return "\n".join(
            str(tuple(row))
            for table in ("credentials", "people", "audit")
            for row in connection.execute(text(f"SELECT * FROM {table}"))  # noqa: S608
        )


class TestTokens:
    def test_a_token_says_who_somebody_is_with_the_role_it_was_made_with(self, rt: Runtime) -> None:
        settle(rt, "taro", role="admin", language="en")
        actor = authenticate(rt, "token", token(rt, "taro", Role.VIEWER).secret)
        assert (actor.person_id, actor.name, actor.language, actor.role, actor.kind) == (
            "taro", "taro さん", "en", Role.VIEWER, "token",
        )  # fmt: skip

    def test_a_person_who_is_not_there_is_made_and_one_who_is_stays_as_they_are(self, rt: Runtime) -> None:
        token(rt, "robot", Role.MANAGER)
        settle(rt, "taro", name="太郎")
        token(rt, "taro", Role.ADMIN)
        assert authenticate(rt, "token", token(rt, "taro", Role.STAFF).secret).name == "太郎"

    def test_only_its_hash_is_kept(self, rt: Runtime) -> None:
        settle(rt, "taro")
        secrets = [token(rt, "taro", Role.STAFF).secret, access.create_link(rt, BOSS, "taro").secret]
        access.set_password(rt, BOSS, "taro", PASSWORD)
        kept = everything(rt)
        assert access.digest(secrets[0]) in kept
        for secret in (*secrets, PASSWORD):
            assert secret not in kept

    def test_a_revoked_one_is_unknown_and_is_revoked_once(self, rt: Runtime) -> None:
        made, other = token(rt, "robot", Role.STAFF), token(rt, "robot", Role.STAFF)
        access.revoke_token(rt, BOSS, made.id)
        with pytest.raises(Unauthenticated):
            authenticate(rt, "token", made.secret)
        with pytest.raises(NotFound):
            access.revoke_token(rt, BOSS, made.id)
        assert authenticate(rt, "token", other.secret).person_id == "robot"

    def test_one_kind_is_not_taken_for_another(self, rt: Runtime) -> None:
        settle(rt, "taro")
        secrets = {
            "token": token(rt, "taro", Role.STAFF).secret,
            "link": access.create_link(rt, BOSS, "taro").secret,
            "session": access.open_session_by_link(rt, access.create_link(rt, BOSS, "taro").secret).secret,
        }
        with pytest.raises(Unauthenticated):
            authenticate(rt, "token", secrets["session"])
        with pytest.raises(Unauthenticated):
            authenticate(rt, "session", secrets["token"])
        with pytest.raises(Unauthenticated):
            access.open_session_by_link(rt, secrets["token"])
        with pytest.raises(NotFound):
            access.revoke_token(rt, BOSS, authenticate(rt, "session", secrets["session"]).credential_id)

    def test_somebody_who_left_is_nobody(self, rt: Runtime) -> None:
        secret = token(rt, "taro", Role.ADMIN).secret
        settle(rt, "taro", active=False)
        with pytest.raises(Unauthenticated):
            authenticate(rt, "token", secret)
        with pytest.raises(Invalid):
            token(rt, "taro", Role.STAFF)

    @pytest.mark.parametrize("secret", ["", "x", "\0", "\ud800", "x" * 10_000])
    def test_nothing_else_is_a_token(self, rt: Runtime, secret: str) -> None:
        with pytest.raises(Unauthenticated):
            authenticate(rt, "token", secret)

    @pytest.mark.parametrize("person", ["", "a b", "-x", "\0", "x" * 65])
    def test_nobody_can_be_called_so(self, rt: Runtime, person: str) -> None:
        with pytest.raises(Invalid):
            token(rt, person, Role.STAFF)


class TestLinks:
    def test_one_signs_in_once_even_when_it_is_used_many_times_at_the_same_moment(self, rt: Runtime) -> None:
        settle(rt, "taro")
        link = access.create_link(rt, BOSS, "taro")

        def use(_turn: int) -> bool:
            try:
                return bool(access.open_session_by_link(rt, link.secret).secret)
            except Unauthenticated:
                return False

        assert at_once(use, range(10)).count(True) == 1

    def test_looking_at_it_does_not_spend_it(self, rt: Runtime) -> None:
        settle(rt, "taro")
        link = access.create_link(rt, BOSS, "taro")
        assert access.read_link(rt, link.secret) == access.read_link(rt, link.secret) == "taro さん"
        access.open_session_by_link(rt, link.secret)
        with pytest.raises(Unauthenticated):
            access.read_link(rt, link.secret)

    def test_it_and_its_session_grow_old(self, rt: Runtime, clock: Clock) -> None:
        settle(rt, "taro")
        link, old = access.create_link(rt, BOSS, "taro"), access.create_link(rt, BOSS, "taro")
        session = access.open_session_by_link(rt, link.secret)
        clock.time += LINK_LIFE
        with pytest.raises(Unauthenticated):
            access.open_session_by_link(rt, old.secret)
        assert authenticate(rt, "session", session.secret).kind == "session"
        clock.time += SESSION_LIFE - LINK_LIFE
        with pytest.raises(Unauthenticated):
            authenticate(rt, "session", session.secret)

    def test_whoever_gets_another_role_signs_in_again_with_it(self, rt: Runtime) -> None:
        settle(rt, "taro")
        session = access.open_session_by_link(rt, access.create_link(rt, BOSS, "taro").secret)
        settle(rt, "taro", role="manager")
        with pytest.raises(Unauthenticated):
            authenticate(rt, "session", session.secret)
        again = access.open_session_by_link(rt, access.create_link(rt, BOSS, "taro").secret)
        assert authenticate(rt, "session", again.secret).role is Role.MANAGER
        access.set_role(rt, BOSS, "taro", Role.STAFF)
        with pytest.raises(Unauthenticated):
            authenticate(rt, "session", again.secret)

    def test_a_new_password_ends_all_other_sessions(self, rt: Runtime) -> None:
        settle(rt, "taro")
        here, there = (
            access.open_session_by_link(rt, access.create_link(rt, BOSS, "taro").secret).secret for _ in range(2)
        )
        access.set_password(rt, authenticate(rt, "session", here), "taro", "long enough 1")
        assert authenticate(rt, "session", here).person_id == "taro"
        with pytest.raises(Unauthenticated):
            authenticate(rt, "session", there)

    def test_signing_out_ends_that_session_alone(self, rt: Runtime) -> None:
        settle(rt, "taro")
        here, there = (
            access.open_session_by_link(rt, access.create_link(rt, BOSS, "taro").secret).secret for _ in range(2)
        )
        access.close_session(rt, authenticate(rt, "session", here))
        with pytest.raises(Unauthenticated):
            authenticate(rt, "session", here)
        assert authenticate(rt, "session", there).person_id == "taro"


class TestPasswords:
    def test_the_right_one_signs_in_and_nothing_else_does(self, rt: Runtime) -> None:
        settle(rt, "taro")
        settle(rt, "none")
        access.set_password(rt, BOSS, "taro", PASSWORD)
        session = access.open_session_by_password(rt, "taro", PASSWORD)
        assert authenticate(rt, "session", session.secret).person_id == "taro"
        messages = set()
        for person, password in (("taro", PASSWORD + "x"), ("taro", ""), ("none", PASSWORD), ("nobody", PASSWORD)):
            with pytest.raises(Unauthenticated) as refusal:
                access.open_session_by_password(rt, person, password)
            messages.add(refusal.value.message)
        assert len(messages) == 1, "it does not tell what was wrong"

    def test_somebody_who_left_does_not_get_in(self, rt: Runtime) -> None:
        settle(rt, "taro")
        access.set_password(rt, BOSS, "taro", PASSWORD)
        settle(rt, "taro", active=False)
        with pytest.raises(Unauthenticated):
            access.open_session_by_password(rt, "taro", PASSWORD)

    @pytest.mark.parametrize("password", ["", "x" * 9, "x" * 201])
    def test_one_that_is_too_short_or_too_long_is_refused(self, rt: Runtime, password: str) -> None:
        settle(rt, "taro")
        with pytest.raises(Invalid):
            access.set_password(rt, BOSS, "taro", password)

    def test_nobody_has_none(self, rt: Runtime) -> None:
        with pytest.raises(NotFound):
            access.set_password(rt, BOSS, "nobody", PASSWORD)


@pytest.mark.parametrize("by", ["form", "command"])
def test_an_invitation_for_staff_signs_nobody_in_as_an_admin(rt: Runtime, by: str) -> None:
    settle(rt, "taro")
    link = access.create_links(rt, actor("manager", Role.MANAGER), ["taro"], LINK_LIFE)["taro"]
    if by == "form":
        directory.put_person(rt, BOSS, PersonDraft("taro", "太郎", role="admin"))
    else:
        access.set_role(rt, BOSS, "taro", Role.ADMIN)
    with pytest.raises(Unauthenticated):
        access.open_session_by_link(rt, link.secret)


def test_what_is_made_belongs_to_whoever_made_it_in_the_audit_trail(rt: Runtime) -> None:
    settle(rt, "taro")
    access.create_token(rt, replace(BOSS, person_id="chief"), "taro", Role.STAFF)
    assert "'chief', 'token.create'" in everything(rt)
