"""E-mail: one letter each, nothing smuggled into its header, kept connections that die quietly."""

import asyncio
import re
import ssl
from collections.abc import Callable
from email import message_from_bytes, policy
from email.utils import parseaddr
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertd.core.delivery import Accepted, Deferred, Misconfigured
from alertd.core.errors import AddressError
from channels.base import Channel, Context, SettingFaults
from channels.email import Email
from channels.letter import compose
from channels.relay import CONNECTIONS, Relay
from tests.channels.helpers import CONTEXT, DELIVERY, LINK, MAIL, MESSAGE, in_an_hour, mail, message
from tests.providers import SmtpServer
from tests.providers.smtp import letter_fault

Closing = Callable[[Channel], None]
SENDER = "alert@city.example.jp"
RELAY = "smtp://127.0.0.1:1?tls=none"


async def send(channel: Channel, to: str = MAIL, key: str = DELIVERY) -> object:
    return await channel.send({"email": to}, MESSAGE, key=key, expires_at=in_an_hour())


def returning(url: str) -> Email:
    channel = Email.configure(
        {"SMTP_URL": url, "MAIL_FROM": SENDER, "MAIL_BOUNCES": "Bounces@Alerts.City.example.jp"}, CONTEXT
    )
    assert isinstance(channel, Email)
    return channel


# The letter


async def test_the_letter_that_arrives(relay: SmtpServer, closing: Closing) -> None:
    channel = mail(relay.url)
    closing(channel)
    outcome = await send(channel)
    (letter,) = relay.letters
    assert (letter.sender, letter.recipient) == (SENDER, MAIL)
    header = letter.message
    assert outcome == Accepted(str(header["Message-ID"]))
    assert header["Subject"] == MESSAGE.title
    assert header["From"] == f"みどり市 <{SENDER}>"
    assert header["To"] == MAIL
    assert header["Date"].datetime == MESSAGE.sent_at
    assert header["Auto-Submitted"] == "auto-generated"
    assert header["X-Alertd-Alert"] == MESSAGE.alert_id
    assert header.get_content_type() == "multipart/alternative"
    assert letter.text == MESSAGE.text
    assert letter.html == MESSAGE.html
    assert letter.text.count(LINK) == letter.html.count(LINK) == 1
    assert letter.raw.isascii()


async def test_a_repeated_letter_keeps_its_message_id(relay: SmtpServer, closing: Closing) -> None:
    channel = mail(relay.url)
    closing(channel)
    relay.drop("message", taken=True)
    assert isinstance(await send(channel), Deferred)
    await send(channel)
    await send(channel, key="another")
    first, second, other = (str(letter.message["Message-ID"]) for letter in relay.letters)
    assert first == second != other
    assert first.endswith("@city.example.jp>")


def test_a_message_id_can_be_made_again_from_the_key_but_tells_nothing_of_it() -> None:
    name, raw = compose(MESSAGE, sender=SENDER, organisation="", to=MAIL, key=DELIVERY)
    assert re.fullmatch(r"<[a-z2-7]{26}@city\.example\.jp>", name)
    assert compose(message(title="x"), sender=SENDER, organisation="", to="other@x.jp", key=DELIVERY)[0] == name
    assert DELIVERY.partition(":")[2].encode() not in raw


async def test_letters_of_one_alert_stand_together(relay: SmtpServer, closing: Closing) -> None:
    channel = mail(relay.url)
    closing(channel)
    await send(channel)
    await send(channel, key="another")
    roots = {str(letter.message[name]) for letter in relay.letters for name in ("References", "In-Reply-To")}
    assert roots == {f"<{MESSAGE.alert_id}@city.example.jp>"}


def test_names_of_messages_are_never_folded() -> None:
    sender = f"a@{'b' * 60}.{'c' * 60}.jp"
    name, raw = compose(MESSAGE, sender=sender, organisation="", to=MAIL, key=DELIVERY)
    for line in (f"Message-ID: {name}", f"References: <{MESSAGE.alert_id}@{sender[2:]}>"):
        assert f"\r\n{line}\r\n".encode() in raw


# The way back


async def test_without_an_address_for_bounces_they_go_to_the_sender(relay: SmtpServer, closing: Closing) -> None:
    channel = mail(relay.url)
    closing(channel)
    await send(channel)
    assert relay.letters[0].sender == SENDER
    assert channel.name_of_bounce(f"bounces+{'a' * 26}@city.example.jp") is None


async def test_each_letter_has_a_way_back_of_its_own(relay: SmtpServer, closing: Closing) -> None:
    channel = returning(relay.url)
    closing(channel)
    sent = [await send(channel), await send(channel, key="another"), await send(channel)]
    first, second, again = (letter.sender for letter in relay.letters)
    assert first == again != second
    assert re.fullmatch(r"Bounces\+[a-z2-7]{26}@alerts\.city\.example\.jp", first)
    for sender, outcome in zip((first, second, again), sent, strict=True):
        assert outcome == Accepted(channel.name_of_bounce(sender))
        assert outcome == Accepted(channel.name_of_bounce(sender.upper()))
    assert {str(letter.message["From"].addresses[0].addr_spec) for letter in relay.letters} == {SENDER}


@pytest.mark.parametrize(
    "address",
    [
        *(
            "bounces@alerts.city.example.jp",
            f"bounces+{'a' * 25}@alerts.city.example.jp",
            SENDER,
            "",
            "<>",
            "postmaster",
        ),
        *(f"bounces+{'a' * 27}@alerts.city.example.jp", f"bounces+{'1' * 26}@alerts.city.example.jp"),
        *(f"bounces+{'a' * 26}@city.example.jp", f"x+{'a' * 26}@alerts.city.example.jp"),
        *(f"bounces-{'a' * 26}@alerts.city.example.jp", f"bounces+{'a' * 26}@alertsXcity.example.jp"),
        f"bounces+{'a' * 26}@alerts.city.example.jp\n",
    ],
)
def test_other_addresses_are_no_way_back(address: str) -> None:
    assert returning(RELAY).name_of_bounce(address) is None


@given(st.text(max_size=20), st.text(max_size=20))
def test_different_deliveries_have_different_message_ids(one: str, other: str) -> None:
    def name(key: str) -> str:
        return compose(MESSAGE, sender=SENDER, organisation="", to=MAIL, key=f"k{key}")[0]

    clean = [text.encode("utf-8", "replace").decode() for text in (one, other)]
    assert (name(clean[0]) == name(clean[1])) == (clean[0] == clean[1])


ANYTHING = st.text(max_size=80) | st.text(alphabet='\r\n\0:<>"@ ,;ab\u2028\u0085あ', max_size=80)


@given(title=ANYTHING, organisation=ANYTHING, text=ANYTHING)
def test_nothing_can_be_smuggled_into_the_header(title: str, organisation: str, text: str) -> None:
    name, raw = compose(
        message(title=title, text=text, html=text, alert_id="a\r\nBcc: x@example.jp"),
        sender=SENDER,
        organisation=organisation,
        to=MAIL,
        key="k",
    )
    parsed = message_from_bytes(raw, policy=policy.default)
    assert letter_fault(raw, parsed) is None
    assert parsed["Message-ID"] == name
    bodies = [str(part.get_content()).replace("\r\n", "\n") for part in parsed.iter_parts()]
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    assert bodies == [lines.encode("utf-8", "replace").decode()] * 2
    assert {name.lower() for name in parsed} == {
        *("from", "to", "subject", "date", "message-id", "auto-submitted"),
        *("in-reply-to", "references", "x-alertd-alert", "mime-version", "content-type"),
    }
    assert [parseaddr(str(parsed["To"]))[1], parsed["From"].addresses[0].addr_spec] == [MAIL, SENDER]


@pytest.mark.parametrize("title", ["a\r\nBcc: evil@example.jp", "a\nBcc: evil@example.jp", "a\r\n\r\n<script>", "a\0b"])
async def test_a_title_with_line_breaks_stays_one_line(relay: SmtpServer, closing: Closing, title: str) -> None:
    channel = mail(relay.url)
    closing(channel)
    outcome = await channel.send({"email": MAIL}, message(title=title), key=DELIVERY, expires_at=in_an_hour())
    assert isinstance(outcome, Accepted)
    (letter,) = relay.letters
    assert letter.message["Bcc"] is None
    assert "\n" not in str(letter.message["Subject"])
    assert letter.recipient == MAIL


async def test_dots_at_the_beginning_of_a_line_stay(relay: SmtpServer, closing: Closing) -> None:
    channel = mail(relay.url)
    closing(channel)
    text = ".\n..\n.a\n"
    await channel.send({"email": MAIL}, message(text=text), key=DELIVERY, expires_at=in_an_hour())
    assert relay.letters[0].text == text


def test_half_a_surrogate_pair_does_not_stop_an_alert() -> None:
    _, raw = compose(message(title="a\ud83d", text="b\ud83d"), sender=SENDER, organisation="c\ud83d", to=MAIL, key="k")
    assert raw.isascii()


# Addresses


@pytest.mark.parametrize(
    ("raw", "address"),
    [
        (" Taro.Yamada+x@Example.JP ", "Taro.Yamada+x@example.jp"),
        ("ｔａｒｏ＠ｅｘａｍｐｌｅ．ｊｐ", "taro@example.jp"),
        ("taro@市.jp", "taro@xn--7st.jp"),
        ("a..b.@docomo.ne.jp", "a..b.@docomo.ne.jp"),
        ("staff@localhost", "staff@localhost"),
    ],
)
async def test_addresses_are_normalised_and_reached(
    relay: SmtpServer, closing: Closing, raw: str, address: str
) -> None:
    channel = mail(relay.url)
    closing(channel)
    parsed = channel.parse_address({"email": raw})
    assert parsed == {"email": address}
    assert isinstance(await send(channel, to=parsed["email"]), Accepted)
    assert relay.letters[0].recipient == address


@pytest.mark.parametrize(
    "raw",
    [
        *(
            "",
            "taro",
            "@example.jp",
            "taro@",
            "taro@@example.jp",
            "a b@example.jp",
            "taro@exa mple.jp",
            "太郎@example.jp",
        ),
        *("taro@example.jp\r\nBcc: x@example.jp", "taro@example.jp,x@example.jp", "<taro@example.jp>", "taro@-x.jp"),
        *(
            "x" * 65 + "@example.jp",
            "taro@" + "x" * 64 + ".jp",
            "taro@example..jp",
            "taro@[127.0.0.1]",
            '"a"@example.jp',
        ),
        *("taro@" + "x." * 130 + "jp", "a>@example.jp", "taro@example.jp\0"),
    ],
)
def test_what_is_no_address_is_refused(raw: str) -> None:
    with pytest.raises(AddressError) as caught:
        mail(RELAY).parse_address({"email": raw})
    assert caught.value.field == "email"


# Connections


async def test_connections_are_kept_and_few(relay: SmtpServer, closing: Closing) -> None:
    channel = mail(relay.url)
    closing(channel)
    outcomes = await asyncio.gather(*(send(channel, key=str(number)) for number in range(60)))
    assert {type(outcome) for outcome in outcomes} == {Accepted}
    assert len(relay.letters) == 60
    assert relay.connections <= CONNECTIONS


async def test_a_connection_is_not_worn_out(relay: SmtpServer, closing: Closing) -> None:
    channel = mail(relay.url)
    closing(channel)
    for number in range(101):
        assert isinstance(await send(channel, key=str(number)), Accepted)
    assert relay.connections == 2


async def test_a_relay_that_hung_up_in_the_meantime_costs_nothing(relay: SmtpServer, closing: Closing) -> None:
    channel = mail(relay.url)
    closing(channel)
    await send(channel)
    relay.drop_connections()
    # The end of the connection is only seen when this loop looks at its sockets again.
    await asyncio.to_thread(lambda: None)
    assert isinstance(await send(channel), Accepted)
    assert relay.connections == 2


async def test_a_connection_that_saw_an_error_is_not_used_again(relay: SmtpServer, closing: Closing) -> None:
    channel = mail(relay.url)
    closing(channel)
    relay.answer("rcpt", "550 5.1.1 no such user")
    await send(channel, to="gone@example.jp")
    assert isinstance(await send(channel), Accepted)
    assert [letter.recipient for letter in relay.letters] == [MAIL]
    assert relay.connections == 2


async def test_a_domain_that_hangs_takes_no_more_than_half_of_the_connections(
    relay: SmtpServer, closing: Closing
) -> None:
    channel = mail(relay.url)
    closing(channel)
    boxes = [f"p{number}@hang.jp" for number in range(3 * CONNECTIONS)]
    for box in boxes:
        relay.hang("rcpt", recipient=box, times=None)
    hanging = [asyncio.create_task(send(channel, to=box)) for box in boxes]
    await asyncio.to_thread(relay.wait_until, lambda: relay.attempts >= CONNECTIONS // 2)
    others = (send(channel, to=f"p{number}@{lane}.jp") for number in range(10) for lane in "abc")
    assert {type(outcome) for outcome in await asyncio.gather(*others)} == {Accepted}
    assert not any(task.done() for task in hanging)
    assert len(relay.letters) == 30
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)


# Signing in, and TLS


async def test_signing_in(closing: Closing) -> None:
    with SmtpServer(username="alert@city", password="p:a/s?s%") as relay:
        channel = mail(relay.url)
        closing(channel)
        assert isinstance(await send(channel), Accepted)
        assert relay.letters[0].authenticated_as == "alert@city"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("535 5.7.8 wrong", Misconfigured),
        ("534 5.7.9 too weak", Misconfigured),
        ("454 4.7.0 temporary", Deferred),
    ],
)
async def test_answers_to_signing_in(closing: Closing, answer: str, expected: type) -> None:
    with SmtpServer(username="user", password="right") as relay:
        relay.answer("auth", answer, times=None)
        channel = mail(relay.url)
        closing(channel)
        assert type(await send(channel)) is expected


@pytest.mark.parametrize("login", ["", "user:wrong@"])
async def test_a_wrong_password_or_none_is_ours(closing: Closing, login: str) -> None:
    with SmtpServer(username="user", password="right") as relay:
        channel = mail(f"smtp://{login}{relay.host}?tls=none")
        closing(channel)
        assert isinstance(await send(channel), Misconfigured)
        assert relay.letters == []


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_a_certificate_that_nobody_vouches_for_is_ours(closing: Closing, tls: str) -> None:
    with SmtpServer(tls="starttls" if tls == "starttls" else "implicit") as relay:
        channel = mail(relay.url)
        closing(channel)
        outcome = await send(channel)
        assert isinstance(outcome, Misconfigured)
        assert "certificate" in outcome.reason
        assert relay.letters == []


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_a_certificate_that_is_trusted(
    closing: Closing, tls: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = SmtpServer(tls="starttls" if tls == "starttls" else "implicit", username="user", password="secret")
    with server as relay:
        trusted = tmp_path / "ca.pem"
        trusted.write_bytes(relay.certificate)
        monkeypatch.setenv(ssl.get_default_verify_paths().openssl_cafile_env, str(trusted))
        channel = mail(relay.url)
        closing(channel)
        assert isinstance(await send(channel), Accepted)
        assert isinstance(await send(channel), Accepted)
        assert [letter.encrypted for letter in relay.letters] == [True, True]
        assert relay.connections == 1


async def test_a_relay_without_the_starttls_that_was_asked_for_gets_nothing(
    relay: SmtpServer, closing: Closing
) -> None:
    channel = mail(f"smtp://user:secret@{relay.host}")
    closing(channel)
    outcome = await send(channel)
    assert isinstance(outcome, Misconfigured)
    assert "secret" not in outcome.reason
    assert relay.letters == []


# Settings


@pytest.mark.parametrize(
    ("url", "relay"),
    [
        ("smtp://mail.example.jp", Relay("mail.example.jp", 587, "starttls")),
        ("smtp://mail.example.jp:25", Relay("mail.example.jp", 25, "starttls")),
        ("smtp://mail.example.jp:465", Relay("mail.example.jp", 465, "implicit")),
        ("smtp://mail.example.jp?tls=implicit", Relay("mail.example.jp", 465, "implicit")),
        ("smtp://mail.example.jp/?tls=none", Relay("mail.example.jp", 25, "none")),
        ("smtp://a%40b:c%2Fd@[::1]:2525?tls=none", Relay("::1", 2525, "none", "a@b", "c/d")),
    ],
)
def test_relays(url: str, relay: Relay) -> None:
    assert Relay.parse(url) == relay


@pytest.mark.parametrize(
    "url",
    [
        *("", "mail.example.jp", "http://x", "smtp://", "smtp://x:port", "smtp://x:99999", "smtp://x?tls=maybe"),
        *("smtp://x?tsl=none", "smtp://user@x", "smtp://a..b", "smtp://x/path", "smtp://user:hunter2@x:0x"),
    ],
)
def test_malformed_relays_are_refused_without_the_password(url: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        Relay.parse(url)
    assert "hunter2" not in str(caught.value)


def test_faults_are_named() -> None:
    for values, names in (
        ({"SMTP_URL": RELAY}, ["MAIL_FROM"]),
        ({"MAIL_FROM": SENDER}, ["SMTP_URL"]),
        ({"MAIL_FROM": "nobody", "SMTP_URL": "x"}, ["SMTP_URL", "MAIL_FROM"]),
        ({"MAIL_BOUNCES": "nobody", "MAIL_PER_SECOND": "x"}, ["MAIL_PER_SECOND", "MAIL_BOUNCES"]),
        ({"MAIL_BOUNCES": f"{'x' * 38}@example.jp"}, ["MAIL_BOUNCES"]),
    ):
        with pytest.raises(SettingFaults) as caught:
            Email.configure(values, CONTEXT)
        assert [name for name, _ in caught.value.faults] == names


async def test_without_settings_everything_is_held_and_addresses_are_taken() -> None:
    channel = Email.configure({}, Context(public_url="https://x.example", organisation="", region="JP"))
    address = channel.parse_address({"email": MAIL})
    outcome = await send(channel, to=address["email"])
    assert isinstance(outcome, Misconfigured)
    assert "ALERTD_SMTP_URL" in outcome.reason
    await channel.aclose()
