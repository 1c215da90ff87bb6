"""A letter that comes back: from the relay over the bounce listener to the board, with real processes."""

import asyncio
import json
import smtplib
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
            "ALERTD_BOUNCE_LISTEN": f"lmtp://127.0.0.1:{port}",
        }
        await town.run()
        await town.inhabit(2, push=0, two_devices=0, phones=0, connected=0)

        async def is_listed() -> bool:
            _, health = await town.get(f"{town.url}/health/ready")
            return "bounces" in [role["role"] for role in json.loads(health)["roles"]]

        await eventually(is_listed, 10, "the listener beats")
        (listener,) = town.processes[0].children("alertd.bounces")
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
        status, _, words = await town.command("bounces")
        assert (status, "ALERTD_BOUNCE_LISTEN" in words) == (1, True)
        town.settings = {"ALERTD_BOUNCE_LISTEN": "lmtp://127.0.0.1:8024"}
        status, _, words = await town.command("bounces")
        assert (status, "ALERTD_MAIL_BOUNCES" in words) == (2, True)
        town.settings |= {"ALERTD_MAIL_BOUNCES": f"bounces@{DOMAIN}"}
        port = town.smtp.port
        town.settings["ALERTD_BOUNCE_LISTEN"] = f"smtp://127.0.0.1:{port}"
        status, _, words = await town.command("bounces")
        assert (status, f"cannot listen on 127.0.0.1:{port}" in words) == (1, True)
