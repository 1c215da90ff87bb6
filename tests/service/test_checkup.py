"""What the doctor says of each part, with real stores, a real socket for the public URL and no Redis."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web

from alertd.core.alert import LANGUAGES, Bilingual
from alertd.core.delivery import State, Transition
from alertd.service import escalating, heartbeat, posting, revising, rollout, self_test, telling, webhooks
from alertd.service.checkup import Patient, examine
from alertd.service.findings import WORDS, Finding, worst_first
from alertd.service.runtime import Runtime
from alertd.store import circuits, deliveries, following, rollouts, settlements, steps
from alertd.store.ballast import Ballast
from alertd.store.settlements import Settlement
from tests import installation
from tests.disks import mounted
from tests.installation import Clock, alert, settle

ROLES = [("web", None), ("clock", None), ("worker", "webpush"), ("worker", "sms"), ("worker", "email")]


def patient(rt: Runtime) -> Patient:
    """As `tests.installation` hands it over; whoever is not there is not waited for long."""
    return replace(installation.patient(rt), alive_seconds=0.4)


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    """The worst finding of each name."""
    found: dict[str, Finding] = {}
    for finding in findings:
        found.setdefault(finding.check, finding)
    return found


async def levels(subject: Patient) -> dict[str, str]:
    return {name: finding.level for name, finding in by_name(await examine(subject)).items()}


def move_in(rt: Runtime) -> None:
    for number, (role, channel) in enumerate(ROLES):
        heartbeat.start(rt, f"w{number}", role, channel)


def beat_all(rt: Runtime, but: str = "") -> None:
    for number, (role, channel) in enumerate(ROLES):
        if but not in (role, channel):
            heartbeat.beat(rt, f"w{number}", role, channel)


async def examined_while_beating(rt: Runtime, subject: Patient, but: str = "") -> dict[str, Finding]:
    """The findings while every process beats, except one."""
    checking = asyncio.create_task(examine(subject))
    while not checking.done():
        await asyncio.to_thread(beat_all, rt, but)
        await asyncio.wait([checking], timeout=0.05)
    return by_name(checking.result())


@pytest.mark.parametrize("gone", ["", "web", "clock", "sms"])
async def test_whose_counter_does_not_move_is_not_there(rt: Runtime, gone: str) -> None:
    move_in(rt)
    found = await examined_while_beating(rt, patient(rt), gone)
    roles = {"web", "clock", "worker:webpush", "worker:sms", "worker:email"}
    away = {name for name in roles if found[name].level == "fault"}
    assert away == ({f"worker:{gone}" if gone == "sms" else gone} if gone else set())


async def test_a_process_whose_clock_is_off_is_named(rt: Runtime, clock: Clock) -> None:
    move_in(rt)
    found = await examined_while_beating(rt, replace(patient(rt), wall=lambda: clock() + timedelta(hours=1)))
    assert found["time"].level == "fault"
    assert found["time"].values["seconds"] == pytest.approx(3600, abs=2)
    found = await examined_while_beating(rt, patient(rt))
    if rt.store.is_sqlite:
        assert found["time"].level == "ok"
    else:
        assert "database" in found["time"].values["whose"], "this installation's clock is not the server's"


async def test_what_waits_for_more_than_a_minute_is_a_fault(rt: Runtime, clock: Clock) -> None:
    settle(rt, "taro")
    alert(rt)
    assert (await levels(patient(rt)))["due"] == "ok"
    clock.move(seconds=61)
    found = by_name(await examine(patient(rt)))
    assert (found["due"].level, found["due"].values["channel"]) == ("fault", "email")
    clock.move(hours=25)  # nothing of it can go out any more
    assert (await levels(patient(rt)))["due"] == "ok"


async def test_what_is_held_is_told_with_its_reason(rt: Runtime) -> None:
    settle(rt, "taro")
    alert(rt)
    with rt.store.write() as connection:
        (claim,) = deliveries.claim(connection, "email", "w", 10, rt.now())
        held = Transition(State.HELD, "535 wrong password", counted=False)
        settlements.settle(connection, [Settlement(claim, "misconfigured", held)], rt.now())
    found = by_name(await examine(patient(rt)))["held:email"]
    assert found.level == "fault"
    assert "535 wrong password" in found.message("en")
    posting.release_held(rt, ["email"])
    assert (await levels(patient(rt)))["held"] == "ok"


@pytest.mark.parametrize("what", ["alert", "revision", "step"])
async def test_what_is_not_laid_down_for_everybody_is_told(rt: Runtime, clock: Clock, what: str) -> None:
    settle(rt, "taro")
    number = alert(rt)
    with rt.store.write() as connection:
        if what == "alert":
            rollouts.begin(connection, number, "")
        elif what == "revision":
            following.begin(connection, number, 1, "")
        else:
            steps.advance(connection, {"alert_id": number, "step": 0, "repeat": 0}, "")
    clock.move(minutes=1)
    assert (await levels(patient(rt)))["prepared"] == "ok"
    clock.move(minutes=2)
    found = by_name(await examine(patient(rt)))["prepared"]
    assert found.level == "fault"
    assert "180" in found.message("ja")
    for carry_on in (rollout.carry_on, revising.carry_on, escalating.carry_on):
        carry_on(rt)
    assert (await levels(patient(rt)))["prepared"] == "ok"


async def test_a_webhook_that_takes_nothing(rt: Runtime) -> None:
    assert (await levels(patient(rt)))["webhooks"] == "ok"
    webhooks.make_webhook(rt, installation.BOSS, "chat", "https://chat.example.jp/hook")
    webhooks.ping(rt, installation.BOSS, "chat")
    turn = telling.take_turn(rt, "chat")
    assert turn is not None
    telling.end_turn(rt, turn, 500, "no")
    found = by_name(await examine(patient(rt)))["webhooks"]
    assert found.level == "warning"
    assert "chat" in found.message("ja")


async def test_the_self_test(rt: Runtime, clock: Clock) -> None:
    async def told() -> tuple[str, str]:
        found = by_name(await examine(subject))["self_test"]
        return found.level, found.word

    at = clock().astimezone(rt.zone).time().replace(second=0, microsecond=0)
    subject = patient(rt)
    assert await told() == ("warning", "self_test_off")
    subject = replace(subject, self_test=at)
    assert await told() == ("warning", "self_test_nobody")
    settle(rt, "taro", takes_self_test=True)
    assert await told() == ("warning", "self_test_stale")
    self_test.start_if_due(rt, at)
    clock.move(minutes=5)
    self_test.check_due(rt)
    assert await told() == ("fault", "self_test_failed")
    clock.move(hours=23, minutes=55)
    self_test.start_if_due(rt, at)
    with rt.store.write() as connection:
        claims = deliveries.claim(connection, "email", "w", 10, rt.now())
        sent = Transition(State.SENT, provider_id="m")
        settlements.settle(connection, [Settlement(claim, "accepted", sent) for claim in claims], rt.now())
    clock.move(minutes=5)
    self_test.check_due(rt)
    assert await told() == ("ok", "self_test_ok")
    clock.move(hours=27)
    assert await told() == ("warning", "self_test_stale")


async def test_a_self_test_that_everybody_slept_through_proves_nothing(rt: Runtime, clock: Clock) -> None:
    at = clock().astimezone(rt.zone).time().replace(second=0, microsecond=0)
    settle(rt, "taro", takes_self_test=True, quiet_hours=("11:00", "13:00"))
    self_test.start_if_due(rt, at)
    clock.move(minutes=5)
    self_test.check_due(rt)
    found = by_name(await examine(replace(patient(rt), self_test=at)))["self_test"]
    assert (found.level, found.word) == ("warning", "self_test_unproven")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_is_there_in_both_languages(language: str) -> None:
    assert [word for word, texts in WORDS.items() if not texts.get(language)] == []  # type: ignore[call-overload]


async def test_a_full_disk(rt: Runtime, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", 8) as disk:
        rt.store.ballast = Ballast(disk.path / "ballast", 1024 * 1024)
        assert (await levels(patient(rt)))["disk"] == "fault", "the ballast is not in place"
        rt.store.ballast.put_in_place()
        assert (await levels(patient(rt)))["disk"] == "ok"
        disk.fill()
        assert (await levels(patient(rt)))["disk"] == "fault"


async def test_where_the_database_lies_elsewhere_the_data_directory_s_disk_is_told(rt: Runtime, tmp_path: Path) -> None:
    assert "disk" not in await levels(replace(patient(rt), data_dir=tmp_path / "not made yet"))
    with mounted(tmp_path / "disk", 8) as disk:
        found = by_name(await examine(replace(patient(rt), data_dir=disk.path)))["disk"]
    assert (found.level, found.word) == ("warning", "data_dir_low")


@pytest.mark.parametrize(
    ("seconds", "lane", "waits", "level"),
    [
        (59, "example.jp", True, "warning"),
        (61, "example.jp", True, "fault"),
        (61, "*", True, "fault"),
        (61, "elsewhere.jp", True, "warning"),
        (61, "example.jp", False, "warning"),
    ],
)
async def test_a_circuit_that_keeps_messages_waiting_for_a_minute_is_a_fault(
    rt: Runtime, clock: Clock, seconds: int, lane: str, waits: bool, level: str
) -> None:
    if waits:
        settle(rt, "taro")
        alert(rt)
    row = {"channel": "email", "provider": "primary", "lane": lane, "state": "half-open", "reason": "no answer"}
    with rt.store.write() as connection:
        circuits.replace(connection, "w1", [{**row, "since": clock() - timedelta(seconds=seconds)}])
        circuits.replace(connection, "w2", [{**row, "since": clock()}])
    found = by_name(await examine(patient(rt)))["circuit:email"]
    assert found.level == level
    assert "no answer" in found.message("ja")


async def test_a_channel_that_is_not_set_up_matters_when_somebody_has_an_address(rt: Runtime) -> None:
    subject = replace(patient(rt), missing={"sms": "ALERTD_TWILIO_ACCOUNT_SID is not set"})
    assert (await levels(subject))["channel:sms"] == "warning"
    settle(rt, "taro", phone="090-1234-5678")
    assert (await levels(subject))["channel:sms"] == "fault"


async def test_providers_are_asked_all_at_once_and_none_holds_the_others_up(rt: Runtime) -> None:
    async def hangs() -> list[Bilingual]:
        await asyncio.Event().wait()
        return []

    async def breaks() -> list[Bilingual]:
        raise ZeroDivisionError

    async def refuses() -> list[Bilingual]:
        return [Bilingual("the account is closed", "アカウントは閉じています")]

    async def well() -> list[Bilingual]:
        return []

    probes: dict[str, Callable[[], Awaitable[list[Bilingual]]]] = {
        "webpush": hangs,
        "sms": refuses,
        "sms:secondary": well,
        "email": breaks,
    }
    found = by_name(await examine(replace(patient(rt), probes=probes, deadline_seconds=2.0)))
    words = {name: found[f"channel:{name}"].word for name in probes}
    expected = {"webpush": "unanswered", "sms": "channel_fault", "sms:secondary": "channel_ok", "email": "broke"}
    assert words == expected
    assert found["channel:sms"].message("ja") == "アカウントは閉じています"
    assert found["redis"].level == "fault"


@pytest.mark.parametrize(
    ("status", "body", "word"),
    [
        (200, '{"status": "live"}', "url_local"),
        (200, "<h1>It works!</h1>", "url_away"),
        (502, '{"status": "live"}', "url_away"),
    ],
)
async def test_the_public_url_must_answer_as_ours(rt: Runtime, status: int, body: str, word: str) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, text=body)

    application = web.Application()
    application.router.add_get("/health/live", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    found = by_name(await examine(replace(patient(rt), public_url=f"http://{host}:{port}")))
    await runner.cleanup()
    assert found["public_url"].word == word


def test_the_worst_comes_first() -> None:
    mixed = [
        Finding("a", "ok", "x"),
        Finding("b", "fault", "x"),
        Finding("c", "warning", "x"),
        Finding("d", "fault", "x"),
    ]
    assert [finding.check for finding in worst_first(mixed)] == ["b", "d", "c", "a"]
