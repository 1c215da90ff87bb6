"""Mail that comes in: a letter that comes back, and what a source writes, with real processes."""

import asyncio
import json
import smtplib
from email.message import EmailMessage
from email.utils import formatdate
from pathlib import Path

from tests.acceptance.town import Town, eventually, free_port, gone
from tests.channels.test_bounces import POSTFIX

DOMAIN = "alerts.mikan.example"


def hand_in(port: int, to: str) -> int:
    """The answer to a bounce that the mail server hands in by LMTP."""
    client = smtplib.LMTP("127.0.0.1", port)
    client.ehlo("mx.mikan.example")
    client.mail("")
    code, _ = client.rcpt(to)
    if code == 250:
        code, _ = client.data(POSTFIX)
    client.quit()
    return code


async def test_a_letter_that_comes_back_is_known_even_when_the_listener_was_killed(data_dir: Path) -> None:
    port = free_port()
    async with Town(data_dir) as town:
        town.settings = {
            "ALERTD_MAIL_BOUNCES": f"bounces@{DOMAIN}",
            "ALERTD_MAIL_LISTEN": f"lmtp://127.0.0.1:{port}",
        }
        await town.run()
        await town.inhabit(2, push=0, two_devices=0, phones=0, connected=0)

        async def is_listed() -> bool:
            _, health = await town.get(f"{town.url}/health/ready")
            return "incoming" in [role["role"] for role in json.loads(health)["roles"]]

        await eventually(is_listed, 10, "the listener beats")
        (listener,) = town.processes[0].children("alertd.incoming")
        status, body = await town.post("避難指示")
        assert status == 201
        await town.everyone_has_it(within=20)
        letters = {letter.recipient: letter.sender for letter in town.smtp.letters}
        first, second = letters["p00@mikan.example"], letters["p01@mikan.example"]
        assert first.endswith(f"@{DOMAIN}")
        assert first != second

        assert await asyncio.to_thread(hand_in, port, first) == 250
        assert await asyncio.to_thread(hand_in, port, f"bounces@{DOMAIN}") == 550
        listener.kill()
        assert gone([listener], 5) == []
        # The parent holds the socket: who calls meanwhile waits for the next listener.
        assert await asyncio.to_thread(hand_in, port, second) == 250

        summary = await town.summary(body["alert"]["id"])
        assert summary["channels"]["email"]["failed"] == 2
        assert summary["unreachable"] == 2


async def test_the_listener_alone_says_what_it_lacks(data_dir: Path) -> None:
    async with Town(data_dir) as town:
        status, _, words = await town.command("incoming")
        assert (status, "ALERTD_MAIL_LISTEN" in words) == (1, True)
        port = town.smtp.port
        town.settings["ALERTD_MAIL_LISTEN"] = f"smtp://127.0.0.1:{port}"
        status, _, words = await town.command("incoming")
        assert (status, f"cannot listen on 127.0.0.1:{port}" in words) == (1, True)


async def test_a_mail_of_a_source_reaches_staff_and_its_answer_ends_it(data_dir: Path) -> None:
    port = free_port()
    async with Town(data_dir) as town:
        town.settings = {"ALERTD_MAIL_LISTEN": f"lmtp://127.0.0.1:{port}"}
        await town.run()
        await town.inhabit(3, push=3, two_devices=0, phones=3, connected=0)
        _, made = await town.call("POST", "/sources", {"id": "shobo", "kind": "mail"})
        rule = '[[rule]]\nname = "mail"\nsource = "shobo"\ndo = "alert"\naudience = { everyone = true }\n'
        status, saved = await town.call("PUT", "/rules", {"text": rule})
        assert status == 200, saved

        def write(subject: str, name: str, **fields: str) -> int:
            letter = EmailMessage()
            letter["Subject"], letter["Date"], letter["Message-ID"] = subject, formatdate(), f"<{name}@city.example>"
            for field, value in fields.items():
                letter[field] = value
            letter.set_content("トンネルで煙", charset="iso-2022-jp")
            with smtplib.LMTP("127.0.0.1", port) as client:
                client.sendmail("fire@city.example", f"shobo+{made['secret']}@alerts.city.example", letter.as_bytes())
            return len(town.push.messages)

        await asyncio.to_thread(write, "火災：トンネル", "one")
        await town.everyone_has_it(within=20)
        (listener,) = town.processes[0].children("alertd.incoming")
        listener.kill()
        await asyncio.to_thread(write, "Re: 【解除】鎮火しました", "two", References="<one@city.example>")

        async def ended() -> bool:
            _, page = await town.call("GET", "/alerts")
            return [(each["title"], each["state"]) for each in page["items"]] == [("【解除】鎮火しました", "cancelled")]

        await eventually(ended, 15, "the answer ends what it answers")
