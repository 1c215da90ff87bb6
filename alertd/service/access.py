"""Who is asking: bearer tokens, browser sessions, one-time links, passwords."""

import hashlib
import re
import secrets
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Connection

from alertd.core.errors import Conflict, Invalid, NotFound, Unauthenticated
from alertd.core.ids import given_id_fault
from alertd.core.roles import Role
from alertd.service.rollout import NextVersion, change_people
from alertd.service.runtime import Actor, Runtime
from alertd.store import credentials, instance, people
from alertd.store.credentials import OpenLink

SESSION_LIFE: Final = timedelta(days=90)  # since it was used: a phone that is needed at 3 a.m. must still be signed in
LINK_LIFE: Final = timedelta(days=7)
_PROLONGED_EVERY: Final = timedelta(days=7)
CODE_LIFE: Final = timedelta(minutes=10)
CODE_LENGTH: Final = 10  # digits: typed once, like a telephone number
PASSWORD_MIN: Final = 10
PASSWORD_MAX: Final = 200

Credential = tuple[credentials.Kind, str]  # of what kind it is, and its secret

_hasher: Final = PasswordHasher()
# Checked when the person is unknown, so that an answer takes as long as for a known one.
_NOBODY: Final = _hasher.hash(secrets.token_hex(16))


@dataclass(frozen=True, slots=True)
class Issued:
    """A credential at the only moment when its secret can be read."""

    id: str
    secret: str
    expires_at: datetime | None


def system_actor(person_id: str, role: Role = Role.ADMIN) -> Actor:
    """Whoever has a shell on the machine, acting as `person_id`."""
    return Actor(person_id, person_id, "ja", role, "shell", "system")


def create_token(rt: Runtime, actor: Actor, person_id: str, role: Role, *, make: bool = True) -> Issued:
    """A bearer token for a person, who is made if there is none, unless `make` says otherwise. Raises Invalid."""
    fault = given_id_fault(person_id)
    if fault:
        raise Invalid([("person", fault)])
    now = rt.now()
    with rt.store.write() as connection:
        values = {"name": person_id, "role": role.word}
        is_there = people.get(connection, person_id) is not None
        if not is_there and not make:
            raise Invalid([("person", f"there is no person {person_id!r}")])
        if not is_there and people.add_new(connection, person_id, values, now):
            instance.record(
                connection, at=now, actor=actor.person_id, action="person.make", object=person_id, details=values
            )
        return _issue(connection, rt, actor, "token", person_id, role=role)


def create_link(rt: Runtime, actor: Actor, person_id: str, life: timedelta = LINK_LIFE) -> Issued:
    """A link that signs a person in once. Raises NotFound, Invalid."""
    with rt.store.write() as connection:
        return _issue(connection, rt, actor, "link", person_id, life=life)


def create_code(rt: Runtime, actor: Actor) -> Issued:
    """Digits that sign `actor` in once more, in an app that does not share the browser's session.

    Single use, good for CODE_LIFE; a new one ends those before it.
    """
    secret = "".join(secrets.choice("0123456789") for _ in range(CODE_LENGTH))
    with rt.store.write() as connection:
        credentials.revoke_all(connection, actor.person_id, rt.now(), "code")
        return _issue(connection, rt, actor, "code", actor.person_id, life=CODE_LIFE, secret=secret)


def create_links(rt: Runtime, actor: Actor, person_ids: Sequence[str], life: timedelta) -> dict[str, Issued]:
    """A link each that signs these people in once, all of them or none; it ends those that they had, which are lost or
    forgotten. Raises Invalid for whoever is not there, not active, or stands above `actor`, who would sign in as them
    otherwise.
    """
    with rt.store.write() as connection:
        there = people.get_many(connection, person_ids)
        above = [each for each in person_ids if each in there and Role.parse(there[each]["role"]) > actor.role]
        faults = [("people", f"there is no person {each!r}") for each in person_ids if each not in there]
        faults += [("people", f"{each!r} has a higher role than you") for each in above]
        faults += [("people", f"{each!r} is not active") for each, row in there.items() if not row["active"]]
        if faults:
            raise Invalid(faults)
        for each in person_ids:
            credentials.revoke_all(connection, each, rt.now(), "link")
        return {each: _issue(connection, rt, actor, "link", each, life=life) for each in person_ids}


def list_links(rt: Runtime, person_id: str | None, limit: int) -> list[OpenLink]:
    """The links that could still be used, the newest first: a person's, or everybody's."""
    with rt.store.read() as connection:
        return credentials.open_links(connection, rt.now(), person_id, limit)


def revoke_link(rt: Runtime, actor: Actor, link_id: str) -> None:
    """Take a link back. Raises NotFound, and Conflict when somebody has signed in with it."""
    now = rt.now()
    with rt.store.write() as connection:
        if credentials.is_used(connection, link_id):
            raise Conflict("this link was used before it could be taken back")
        if not credentials.revoke(connection, "link", link_id, now):
            raise NotFound(f"there is no link {link_id!r}")
        instance.record(connection, at=now, actor=actor.person_id, action="link.revoke", object=link_id, details={})


def list_tokens(rt: Runtime, *, after: str | None, limit: int) -> list[dict[str, Any]]:
    """The tokens that were not ended: `id`, `person_id`, `name`, `role`, `active` and `created_at`, newest first."""
    with rt.store.read() as connection:
        return credentials.list_tokens(connection, after, limit)


def _issue(
    connection: Connection,
    rt: Runtime,
    actor: Actor,
    kind: credentials.Kind,
    person_id: str,
    *,
    role: Role | None = None,
    life: timedelta | None = None,
    secret: str | None = None,
) -> Issued:
    now = rt.now()
    issued = Issued(rt.new_id(), secret or secrets.token_urlsafe(32), now + life if life else None)
    person = people.get(connection, person_id)
    if person is None:
        raise NotFound(f"there is no person {person_id!r}")
    if not person["active"]:
        raise Invalid([("person", f"{person_id!r} is not active")])
    granted = role.word if role else str(person["role"])
    credentials.add(
        connection,
        id=issued.id,
        kind=kind,
        hash=digest(issued.secret),
        person_id=person_id,
        role=granted,
        created_at=now,
        expires_at=issued.expires_at,
    )
    details = {"person": person_id, "role": granted}
    instance.record(
        connection, at=now, actor=actor.person_id, action=f"{kind}.create", object=issued.id, details=details
    )
    return issued


def set_role(rt: Runtime, actor: Actor, person_id: str, role: Role) -> None:
    """Give a person a role; they have to sign in again. Raises NotFound."""
    now = rt.now()

    def change(connection: Connection, version: NextVersion) -> None:
        if people.get(connection, person_id) is None:
            raise NotFound(f"there is no person {person_id!r}")
        people.put(connection, person_id, {"role": role.word}, now, version())
        credentials.end_role(connection, person_id, now)
        details = {"role": role.word}
        instance.record(connection, at=now, actor=actor.person_id, action="role.set", object=person_id, details=details)

    change_people(rt, [person_id], change)


def revoke_token(rt: Runtime, actor: Actor, token_id: str) -> None:
    """End a token. Raises NotFound."""
    now = rt.now()
    with rt.store.write() as connection:
        if not credentials.revoke(connection, "token", token_id, now):
            raise NotFound(f"there is no token {token_id!r}")
        instance.record(connection, at=now, actor=actor.person_id, action="token.revoke", object=token_id, details={})


def authenticate_all(rt: Runtime, asked: Sequence[Credential]) -> list[Actor | Exception]:
    """Who holds each of these tokens and sessions, by kind and secret; Unauthenticated where nobody does."""
    hashed = [(kind, digest(secret)) for kind, secret in asked]
    with rt.store.read() as connection:
        found = credentials.find_many(connection, hashed, rt.now())
    return [_actor(each[0], found.get(each)) for each in hashed]


def _actor(kind: credentials.Kind, found: credentials.Found | None) -> Actor | Exception:
    if found is None:
        return Unauthenticated(f"this {kind} is unknown, was revoked or has expired")
    # A token keeps the role it was made with; a session has whatever its person has now.
    role = Role.parse(found.person_role if kind == "session" else found.role)
    return Actor(found.person_id, found.name, found.language, role, found.id, kind)


def read_link(rt: Runtime, secret: str, session: str | None = None) -> str:
    """The name of whom a one-time link signs in, without spending it. Raises Unauthenticated.

    `session`: as of `open_session_by_link`, which would open it again.
    """
    with rt.store.read() as connection:
        row = credentials.find(connection, "link", digest(secret), rt.now())
        if row is None and session is not None:
            row = credentials.find(connection, "session", digest(session), rt.now())
    if row is None:
        raise Unauthenticated("this link was used before or is too old: ask for a new one")
    return row.name


def open_session_by_link(rt: Runtime, secret: str, session: str | None = None) -> Issued:
    """Spend a one-time link for a session. Raises Unauthenticated.

    `session` is the secret that it is to have, which nobody else can know: whoever comes again with both, because the
    answer never reached them, is given the same session again.
    """
    return _spend(rt, "link", secret, session, "this link was used before or is too old: ask for a new one")


def open_session_by_code(rt: Runtime, typed: str, session: str | None = None) -> Issued:
    """Spend a sign-in code for a session, however its digits are written; `session` as of a link. Raises
    Unauthenticated.
    """
    code = re.sub(r"[\s-]", "", unicodedata.normalize("NFKC", typed))
    return _spend(rt, "code", code, session, "this code is wrong, was used before or is too old: make a new one")


def _spend(rt: Runtime, kind: credentials.Kind, secret: str, session: str | None, refusal: str) -> Issued:
    now = rt.now()
    with rt.store.write() as connection:
        row = credentials.find(connection, kind, digest(secret), now)
        if row is not None and credentials.use_once(connection, row.id, now):
            theirs = system_actor(row.person_id)
            return _issue(connection, rt, theirs, "session", row.person_id, life=SESSION_LIFE, secret=session)
        again = credentials.find(connection, "session", digest(session), now) if session is not None else None
        if session is None or again is None:
            raise Unauthenticated(refusal)
        return Issued(again.id, session, None)


def prolong_session(rt: Runtime, actor: Actor) -> bool:
    """Let the session of somebody who uses it last for SESSION_LIFE from now; False when that is so anyway.

    Once a week is enough, so that a whole town that opens its pages at once writes nothing.
    """
    now = rt.now()
    with rt.store.read() as connection:
        ends_at = credentials.ends_at(connection, actor.credential_id)
    if ends_at is None or ends_at > now + SESSION_LIFE - _PROLONGED_EVERY:
        return False
    with rt.store.write() as connection:
        return credentials.prolong(connection, actor.credential_id, now + SESSION_LIFE)


def open_session_by_password(rt: Runtime, person_id: str, password: str) -> Issued:
    """A session for the right password. Raises Unauthenticated, which does not tell what was wrong."""
    with rt.store.read() as connection:
        person = people.get(connection, person_id)
    kept = person["password_hash"] if person and person["active"] else None
    is_right = _is_password(kept or _NOBODY, password)
    if kept is None or not is_right:
        raise Unauthenticated("the name or the password is not right")
    with rt.store.write() as connection:
        return _issue(connection, rt, system_actor(person_id), "session", person_id, life=SESSION_LIFE)


def close_session(rt: Runtime, actor: Actor) -> None:
    """Sign out."""
    with rt.store.write() as connection:
        credentials.revoke(connection, "session", actor.credential_id, rt.now())


def set_password(rt: Runtime, actor: Actor, person_id: str, password: str) -> None:
    """Give a person a password, which ends their other sessions and links. Raises Invalid, NotFound."""
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        raise Invalid([("password", f"must be {PASSWORD_MIN} to {PASSWORD_MAX} characters")])
    now = rt.now()
    hashed = _hasher.hash(password)
    with rt.store.write() as connection:
        if not people.set_password(connection, person_id, hashed):
            raise NotFound(f"there is no person {person_id!r}")
        credentials.revoke_all(connection, person_id, now, "session", "link", "code", but=actor.credential_id)
        instance.record(connection, at=now, actor=actor.person_id, action="password.set", object=person_id, details={})


def change_password(rt: Runtime, actor: Actor, current: str, password: str) -> None:
    """Give oneself a password; whoever has one has to know it. Raises Invalid."""
    with rt.store.read() as connection:
        person = people.get(connection, actor.person_id)
    if person and person["password_hash"] and not _is_password(person["password_hash"], current):
        raise Invalid([("current", "is not your password")])
    set_password(rt, actor, actor.person_id, password)


def has_password(rt: Runtime, actor: Actor) -> bool:
    with rt.store.read() as connection:
        person = people.get(connection, actor.person_id)
    return bool(person and person["password_hash"])


def _is_password(hashed: str, password: str) -> bool:
    try:
        return _hasher.verify(hashed, password[:PASSWORD_MAX])
    except (VerificationError, InvalidHashError):
        return False


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
