"""What is broken on purpose is named, by real processes to a real command; and nothing is named when all is well."""

import contextlib
import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

from tests.acceptance.town import Town, free_port, running_town
from tests.services import Redis


async def examine(town: Town, **settings: str) -> tuple[int, dict[str, dict[str, str]]]:
    """The doctor's exit status and findings by name (the worst of each), under these settings beside the town's."""
    town.settings |= {f"ALERTD_{name}": value for name, value in settings.items()}
    status, out, err = await town.command("doctor", "--json")
    assert out, err
    findings: list[dict[str, Any]] = json.loads(out)
    by_name: dict[str, dict[str, str]] = {}
    for finding in findings:
        by_name.setdefault(finding["check"], finding)
    return status, by_name


def faults(findings: dict[str, dict[str, str]]) -> set[str]:
    return {name for name, finding in findings.items() if finding["level"] == "fault"}


def sound(town: Town) -> None:
    town.settings["ALERTD_VAPID_SUBJECT"] = "mailto:it@mikan.example"


async def test_all_well(town: Town) -> None:
    sound(town)
    status, findings = await examine(town)
    assert faults(findings) == set(), findings
    assert status == 0
    expected = {
        "store",
        "migration",
        "redis",
        "worker:webpush",
        "worker:sms",
        "worker:email",
        "clock",
        "web",
        "poller",
        "held",
    }
    expected |= {
        "webhooks",
        "circuits",
        "vapid",
        "channel:webpush",
        "channel:sms",
        "channel:email",
        "due",
        "sms_parts",
        "time",
    }
    assert {name for name, finding in findings.items() if finding["level"] == "ok"} >= expected
    assert findings["public_url"]["level"] == "warning", "phones cannot follow a link to this machine"
    assert findings["self_test"]["level"] == "warning", "nobody takes it"
    status, out, _ = await town.command("doctor")
    assert status == 0
    lines = [line.split("\t") for line in out.splitlines()]
    assert {len(line) for line in lines} == {3}
    assert [level for level, _, _ in lines] == sorted((level for level, _, _ in lines), reverse=True)
    town.settings["LANG"] = "ja_JP.UTF-8"
    status, out, _ = await town.command("doctor")
    assert status == 0
    assert "データベースに書き込めます。" in out
    assert " the " not in out


async def test_processes_and_redis_that_are_gone(data_dir: Path, postgres_url: str, redis_server: Redis) -> None:
    async with running_town(data_dir, database_url=postgres_url, redis_url=redis_server.url) as town:
        sound(town)
        _, _, *workers, clock, _poller = town.processes
        clock.stop()
        status, findings = await examine(town)
        assert (status, faults(findings)) == (1, {"clock"})

        for worker in workers:
            worker.stop()
        redis_server.stop()
        status, findings = await examine(town)
        assert status == 1
        assert faults(findings) == {"clock", "worker:webpush", "worker:sms", "worker:email", "redis"}
        assert findings["store"]["level"] == "ok"


async def test_each_part_that_is_broken_on_purpose_is_named_and_no_other(small_town: Town) -> None:
    town = small_town
    sound(town)
    cases = {
        "VAPID_SUBJECT": ("mailto:alertd@localhost", "channel:webpush", "VAPID subject"),
        "TWILIO_AUTH_TOKEN": ("0" * 32, "channel:sms", "auth token"),
        "SMTP_URL": (f"smtp://127.0.0.1:{free_port()}?tls=none", "channel:email", "relay"),
        "PUBLIC_URL": (f"http://127.0.0.1:{free_port()}", "public_url", "does not answer as ours"),
        "REDIS_URL": (f"redis://127.0.0.1:{free_port()}", "redis", "Redis does not answer"),
    }
    before = dict(town.settings)
    for name, (value, named, words) in cases.items():
        town.settings = dict(before)
        status, findings = await examine(town, **{name: value})
        assert (status, faults(findings)) == (1, {named}), name
        assert words in findings[named]["message"]


async def test_a_database_that_is_not_in_order_is_named_and_left_as_it_is(small_town: Town) -> None:
    sound(small_town)
    cases = {
        "older": ("DELETE FROM alembic_version", "a migration is missing"),
        "newer": ("UPDATE alembic_version SET version_num='ffff'", "newer"),
    }
    for name, (statement, words) in cases.items():
        copy = _copy(small_town, name, statement)
        before = _dump(copy)
        status, findings = await examine(small_town, DATABASE_URL=f"sqlite:///{copy}")
        assert status == 1
        assert "migration" in faults(findings)
        assert words in findings["migration"]["message"]
        assert _dump(copy) == before
        assert findings["redis"]["level"] == "ok"
        assert findings["channel:sms"]["level"] == "ok"

    missing = small_town.directory / "nowhere" / "alertd.db"
    status, findings = await examine(small_town, DATABASE_URL=f"sqlite:///{missing}")
    assert status == 1
    assert "store" in faults(findings)
    assert not _is_there(missing.parent)
    assert findings["redis"]["level"] == "ok"


def _copy(town: Town, name: str, statement: str) -> Path:
    """A copy of the town's database, changed."""
    copy = town.directory / name / "alertd.db"
    copy.parent.mkdir()
    database = town.directory / "data" / "alertd.db"
    with contextlib.closing(sqlite3.connect(database)) as source, contextlib.closing(sqlite3.connect(copy)) as target:
        source.backup(target)
        target.execute(statement)
        target.commit()
    return copy


def _is_there(path: Path) -> bool:
    return path.exists()


async def test_a_channel_that_somebody_needs_and_nobody_has_set_up(small_town: Town) -> None:
    sound(small_town)
    nothing = {"SMTP_URL": "", "MAIL_FROM": ""}
    status, findings = await examine(small_town, **nothing)
    assert (status, findings["channel:email"]["level"]) == (0, "warning")
    await small_town.inhabit(2, push=0, two_devices=0, phones=0, connected=0)
    status, findings = await examine(small_town, **nothing)
    assert (status, faults(findings)) == (1, {"channel:email"})
    assert "2 people" in findings["channel:email"]["message"]


def _dump(path: Path) -> list[str]:
    copy = path.with_suffix(".dump")
    shutil.copy(path, copy)
    with contextlib.closing(sqlite3.connect(copy)) as connection:
        return list(connection.iterdump())
