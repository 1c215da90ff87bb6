"""The bounce listener over real LMTP and SMTP: 250 means that it is in the store."""

import asyncio
import smtplib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from alertd.core.delivery import State, Transition
from alertd.core.errors import Invalid
from alertd.core.roles import Role
from alertd.incoming import Listener, make_protocol
from alertd.service import sources
from alertd.service.runtime import Runtime
from alertd.sources.mail import MAIL_MAX
from alertd.store import deliveries, people, settlements
from alertd.store.engine import Store
from channels.base import Context
from channels.email import Email
from tests.channels.test_bounces import OUT_OF_OFFICE, POSTFIX, POSTFIX_DELAY
from tests.installation import actor, alert, settle

T = TypeVar("T")
Client = smtplib.SMTP
HOST = "127.0.0.1"
SETTINGS = {
    "SMTP_URL": "smtp://127.0.0.1:1?tls=none",
    "MAIL_FROM": "alert@city.example.jp",
    "MAIL_BOUNCES": "bounces@alerts.city.example.jp",
}
CONTEXT = Context("https://alert.example.jp", "みどり市", "JP")
NAME = "oamihg7tzqfdhzty6es6o5nc4l"
TO = f"bounces+{NAME}@alerts.city.example.jp"
LETTER = f"<{NAME}@city.example.jp>"
DELIVERED = POSTFIX.replace(b"Action: failed", b"Action: delivered").replace(b"5.1.1", b"2.0.0")
FULL = POSTFIX.replace(b"5.1.1", b"5.2.2")


Connect = Callable[[], Client]


@asynccontextmanager
async def listening(rt: Runtime, *, lmtp: bool, unknown_most: int = 1_000) -> AsyncIterator[Connect]:
    """A new conversation with a listener; to be had in a thread."""
    channel = Email.configure(SETTINGS, CONTEXT)
    assert isinstance(channel, Email)
    listener = Listener(rt, channel, unknown_most)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: make_protocol(listener, lmtp=lmtp), HOST, 0)
    port = server.sockets[0].getsockname()[1]
    kind = smtplib.LMTP if lmtp else smtplib.SMTP
    made: list[Client] = []

    def connect() -> Client:
        made.append(kind(HOST, port))
        return made[-1]

    yield connect
    for client in made:
        client.close()
    server.close()
    await server.wait_closed()


@pytest.fixture(params=["lmtp", "smtp"])
def lmtp(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "lmtp")


@pytest.fixture
async def call(lmtp: bool, rt: Runtime) -> AsyncIterator[Connect]:
    async with listening(rt, lmtp=lmtp) as connect:
        yield connect


async def talk(work: Callable[..., T], *arguments: Any) -> T:
    return await asyncio.to_thread(work, *arguments)


def hand_in(call: Connect, raw: bytes, *to: str) -> tuple[int, str]:
    """What the listener answers to a bounce, from the return path that bounces have: none."""
    client = call()
    client.ehlo("mx.example.jp")  # to an LMTP server it says LHLO
    assert client.mail("")[0] == 250
    answers = [client.rcpt(each) for each in to or (TO,)]
    if not any(code == 250 for code, _ in answers):
        code, words = answers[-1]
    else:
        code, words = client.data(raw)
    client.quit()
    return code, words.decode()


def sent(rt: Runtime, person: str = "taro") -> str:
    """An alert whose letter the relay took over."""
    settle(rt, person)
    name = alert(rt)
    with rt.store.write() as connection:
        (claim,) = deliveries.claim(connection, "email", "w1", 10, rt.now())
        taken = Transition(State.SENT, provider_id=LETTER)
        settlements.settle(connection, [settlements.Settlement(claim, "accepted", taken)], rt.now())
    return name


def became(rt: Runtime, alert_id: str, person: str = "taro") -> tuple[str, str | None, bool]:
    """(state, reason, retired) of the one letter."""
    with rt.store.read() as connection:
        (row,) = deliveries.of_people(connection, alert_id, [person])
        ways = people.subscriptions_of(connection, [person])
    (way,) = (way for way in ways if way["channel"] == "email")
    return str(row["state"]), row["reason"], way["retired_at"] is not None


async def test_a_hard_bounce_fails_the_letter_and_retires_the_address(rt: Runtime, call: Connect) -> None:
    name = sent(rt)
    code, _ = await talk(hand_in, call, POSTFIX)
    assert code == 250
    state, reason, retired = became(rt, name)
    assert (state, retired) == ("failed", True)
    assert reason is not None
    assert "User unknown" in reason


@pytest.mark.parametrize(
    ("raw", "state", "retired"),
    [(FULL, "failed", False), (DELIVERED, "delivered", False), (POSTFIX_DELAY, "sent", False),
     (OUT_OF_OFFICE, "sent", False), (b"\xff\0 garbage", "sent", False)],
    ids=["full", "delivered", "delayed", "out of office", "garbage"],
)  # fmt: skip
async def test_what_other_messages_do(rt: Runtime, call: Connect, raw: bytes, state: str, retired: bool) -> None:
    name = sent(rt)
    assert (await talk(hand_in, call, raw))[0] == 250
    found, _, gone = became(rt, name)
    assert (found, gone) == (state, retired)


async def test_a_bounce_that_comes_twice_or_late_moves_nothing_back(rt: Runtime, call: Connect) -> None:
    name = sent(rt)
    for raw in (DELIVERED, DELIVERED, FULL):
        assert (await talk(hand_in, call, raw))[0] == 250
    assert became(rt, name)[0] == "delivered"


async def test_a_bounce_that_is_faster_than_our_own_commit_waits(rt: Runtime, call: Connect) -> None:
    assert (await talk(hand_in, call, POSTFIX))[0] == 250
    name = sent(rt)
    await talk(hand_in, call, POSTFIX_DELAY)  # whatever comes next looks again
    assert became(rt, name)[0] == "failed"


@pytest.mark.parametrize(
    "to",
    ["bounces@alerts.city.example.jp", "postmaster@alerts.city.example.jp", f"bounces+{NAME}@elsewhere.example.jp",
     f"bounces+{NAME[:-1]}@alerts.city.example.jp", "alert@city.example.jp"],
)  # fmt: skip
async def test_addresses_that_no_letter_came_from_are_unknown(rt: Runtime, call: Connect, to: str) -> None:
    name = sent(rt)
    code, words = await talk(hand_in, call, POSTFIX, to)
    assert (code, words[:5]) == (550, "5.1.1")
    assert became(rt, name)[0] == "sent"


async def test_one_message_is_for_one_letter(rt: Runtime, call: Connect) -> None:
    name = sent(rt)
    other = f"bounces+{'a' * 26}@alerts.city.example.jp"
    assert (await talk(hand_in, call, POSTFIX, "nobody@x.jp", TO, other))[0] == 250
    assert became(rt, name)[0] == "failed"
    with rt.store.read() as connection:
        assert [row["provider_id"] for row in deliveries_reported(connection)] == [LETTER]


def deliveries_reported(connection: Any) -> list[Any]:
    return list(connection.exec_driver_sql("SELECT provider_id FROM receipts").mappings())


async def test_letters_in_one_conversation(rt: Runtime, call: Connect) -> None:
    name = sent(rt)

    def converse() -> list[int]:
        client = call()
        client.ehlo("mx.example.jp")
        codes = [client.sendmail("", [TO], raw) for raw in (POSTFIX_DELAY, OUT_OF_OFFICE, FULL)]
        client.quit()
        return [len(code) for code in codes]

    assert await talk(converse) == [0, 0, 0]
    assert became(rt, name)[0] == "failed"


async def test_without_its_store_the_mail_server_keeps_the_message(
    rt: Runtime, call: Connect, lmtp: bool, tmp_path: Path
) -> None:
    name = sent(rt)
    nowhere = Store(f"sqlite:///{tmp_path}")  # a directory is no database
    async with listening(replace(rt, store=nowhere), lmtp=lmtp) as broken:
        code, words = await talk(hand_in, broken, POSTFIX)
        ignored, _ = await talk(hand_in, broken, OUT_OF_OFFICE)
    nowhere.close()
    assert (code, words[:5], ignored) == (451, "4.3.0", 250)
    assert became(rt, name)[0] == "sent"
    assert (await talk(hand_in, call, POSTFIX))[0] == 250
    assert became(rt, name)[0] == "failed"


async def test_a_huge_message_is_refused_and_the_conversation_goes_on(rt: Runtime, call: Connect) -> None:
    name = sent(rt)

    def converse() -> list[int]:
        client = call()
        client.ehlo("mx.example.jp")
        codes = []
        for raw in (POSTFIX + (b"x" * 998 + b"\r\n") * (MAIL_MAX // 1_000), POSTFIX):
            client.mail("")
            client.rcpt(TO)
            codes.append(client.data(raw)[0])
        client.quit()
        return codes

    assert await talk(converse) == [552, 250]
    assert became(rt, name)[0] == "failed"


async def test_a_source_writes_to_an_address_of_its_own(rt: Runtime, call: Connect) -> None:
    admin = actor("admin", Role.ADMIN)
    made = sources.make_source(rt, admin, "shobo", "mail")
    assert len(f"shobo+{made.secret}") <= 64
    letter = b"Date: Sun, 22 Nov 2026 18:00:00 +0900\r\nMessage-ID: <a@b>\r\nSubject: Smoke\r\n\r\nTunnel closed\r\n"

    def converse() -> list[int]:
        client = call()
        client.ehlo("mx.example.jp")
        codes = []
        for to, raw in (
            (f"shobo+{made.secret}@city.example", letter),
            (f"SHOBO+{made.secret.upper()}@city.example", letter),
            (f"shobo+{made.secret}@city.example", b"Content-Type: multipart/report\r\n\r\nx"),
            (f"shobo+{'a' * 32}@city.example", letter),
            ("shobo@city.example", letter),
            (f"nobody+{made.secret}@city.example", letter),
        ):
            client.mail("sender@city.example")
            code, _ = client.rcpt(to)
            codes.append(client.data(raw)[0] if code == 250 else code)
            client.rset()
        client.mail(TO)  # what we sent comes back as if a source had written it
        client.rcpt(f"shobo+{made.secret}@city.example")
        codes.append(client.data(letter)[0])
        client.quit()
        return codes

    assert await talk(converse) == [250, 250, 554, 550, 550, 550, 554]
    [seen] = sources.list_observations(rt, limit=9)
    assert (seen["title"], seen["body"], seen["reason"]) == ("Smoke", "Tunnel closed", "no-rule")
    again = sources.renew_secret(rt, admin, "shobo")
    assert sources.source_of_address(rt, f"shobo+{made.secret}@city.example") is None
    assert sources.source_of_address(rt, f"shobo+{again.secret}@city.example") == "shobo"


@pytest.mark.parametrize("name", ["Shobo", "sho.bo", "a@b", "a+b", "x" * 32])
def test_a_name_that_is_no_mailbox_is_refused(rt: Runtime, name: str) -> None:
    with pytest.raises(Invalid):
        sources.make_source(rt, actor("admin", Role.ADMIN), name, "mail")


async def test_a_line_that_is_longer_than_it_should_be_hides_no_bounce(rt: Runtime, call: Connect) -> None:
    name = sent(rt)
    raw = POSTFIX.replace(b"This is the mail system", b"x" * 20_000)
    assert (await talk(hand_in, call, raw))[0] == 250
    assert became(rt, name)[0] == "failed"


async def test_of_names_that_nobody_knows_so_many_are_kept_and_known_ones_go_on(rt: Runtime) -> None:
    async with listening(rt, lmtp=True, unknown_most=2) as connect:
        others = [f"bounces+{letter * 26}@alerts.city.example.jp" for letter in "abc"]
        told = [await talk(hand_in, connect, POSTFIX, to) for to in others]
        name = sent(rt)
        known, _ = await talk(hand_in, connect, POSTFIX)
    assert [(code, words[:5]) for code, words in told] == [(250, "2.0.0"), (250, "2.0.0"), (452, "4.3.1")]
    assert (known, became(rt, name)[0]) == (250, "failed")
    with rt.store.read() as connection:
        assert len(deliveries_reported(connection)) == 3


async def test_whatever_breaks_the_mail_server_keeps_the_message(rt: Runtime) -> None:
    channel = Email.configure(SETTINGS, CONTEXT)
    assert isinstance(channel, Email)
    assert (await Listener(rt, channel).handle_exception(ZeroDivisionError("taro@example.jp"))).startswith("451 4.3.0")
