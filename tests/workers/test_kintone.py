"""The poller with an app of kintone on the loopback: nothing is lost within a minute, and nothing ends for a fault."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from alertd.core.roles import Role
from alertd.service import polling, sources
from alertd.service.runtime import Runtime
from alertd.service.sources import Watch
from alertd.sources.base import Outcome, Unfetched
from alertd.sources.kintone import Kintone, KintoneAccess
from alertd.store import sources as kept
from channels.hosts import Hosts
from tests.installation import BOSS, Clock, actor
from tests.providers.kintone import APP, KintoneServer
from workers.fetching import HttpFetch
from workers.poller import PollerProcess

ADMIN = actor("admin", Role.ADMIN)
BOOK = """
[mapping.records]
id = "{$id}"
title = "{件名}"
body = "{本文}"
observed_at = "{更新日時}"
standing = { of = "{区分}", actual = ["本番"], drill = ["訓練"], test = ["試験"] }
fields = { target = "{対象}", staff = "{担当}", team = "{班.0.名前?}", state = "{確認状況?}" }

[[rule]]
name = "掲示"
source = "records"
do = "board"
drills = "drill"
"""
REAL: dict[str, Any] = {"区分": "本番"}


@pytest.fixture
def kintone(time: Clock) -> Iterator[KintoneServer]:
    with KintoneServer(time) as server:
        yield server


@pytest.fixture
async def fetch(kintone: KintoneServer) -> AsyncIterator[HttpFetch]:
    made = HttpFetch(Hosts.parse(kintone.host, ()), "alertd/test")
    yield made
    await made.close()


class Look:
    """Looks at the app whenever a test says so."""

    def __init__(self, rt: Runtime, fetch: HttpFetch, kintone: KintoneServer) -> None:
        self.rt, self._fetch, self._kintone = rt, fetch, kintone

    def make(self, **access: Any) -> None:
        sources.make_source(self.rt, ADMIN, "records", "kintone", Watch({**self._kintone.access, **access}, 60))
        sources.save_book(self.rt, BOSS, BOOK)

    def watch(self, **access: Any) -> None:
        sources.change_watch(self.rt, ADMIN, "records", Watch({**self._kintone.access, **access}, 60))

    async def __call__(self) -> str | None:
        """What was wrong."""
        polling.hint(self.rt, "records")
        [turn] = await asyncio.to_thread(polling.take_turns, self.rt, 10)
        fault = await PollerProcess(self.rt, "p1", self._fetch, 1.0).ask(turn)
        await asyncio.to_thread(polling.end_turn, self.rt, turn, fault)
        assert isinstance(self.rt.now, Clock)
        self.rt.now.move(seconds=1)
        return fault

    @property
    def seen(self) -> list[tuple[str, int, str, str]]:
        """What was observed, oldest first."""
        items = sources.list_observations(self.rt, limit=500)
        return [(each["title"], each["version"], each["standing"], each["reason"]) for each in reversed(items)]


@pytest.fixture
def look(rt: Runtime, fetch: HttpFetch, kintone: KintoneServer) -> Look:
    return Look(rt, fetch, kintone)


ENDED = "kintoneのレコードが取り下げられました"


async def test_edits_within_one_minute_are_all_seen_and_nothing_twice(look: Look, kintone: KintoneServer) -> None:
    look.make()
    first = kintone.add(件名="一", **REAL)
    assert await look() is None
    second = kintone.add(件名="二", **REAL)
    kintone.edit(first, 件名="一の二")
    assert await look() is None
    kintone.edit(first, 件名="一の三")
    kintone.edit(second, 件名="二の二")
    assert await look() is None
    assert await look() is None
    assert look.seen == [
        ("一", 1, "actual", "rule"),
        ("一の二", 2, "actual", "changed"),
        ("二", 1, "actual", "rule"),
        ("一の三", 3, "actual", "changed"),
        ("二の二", 2, "actual", "changed"),
    ]


async def test_each_look_reaches_back_a_few_minutes_and_no_more(
    look: Look, kintone: KintoneServer, time: Clock
) -> None:
    look.make()
    record = kintone.add(件名="一", **REAL)
    assert await look() is None
    time.move(minutes=10)
    assert await look() is None  # and from then on it is known that there was nothing
    kintone.edit(record, 件名="二")
    time.move(minutes=2)
    assert await look() is None
    assert [title for title, *_ in look.seen] == ["一", "二"]
    time.move(minutes=10)
    kintone.asked.clear()
    assert await look() is None
    [(_, asked, _), *_] = kintone.asked
    assert f'更新日時 >= "{time() - timedelta(minutes=13, seconds=2):%Y-%m-%dT%H:%M}:00Z"' in asked


async def test_an_import_comes_in_pages_and_old_times_hide_nothing(look: Look, kintone: KintoneServer) -> None:
    long_ago = look.rt.now() - timedelta(days=400)
    for number in range(3):
        kintone.add(件名=f"以前の{number}", at=long_ago, **REAL)
    look.make()
    assert await look() is None
    assert look.seen == []
    for number in range(230):
        kintone.add(件名=f"取り込み{number}", at=long_ago if number % 2 else None, **REAL)
    assert await look() is None
    assert {title for title, *_ in look.seen} == {f"取り込み{number}" for number in range(230)}
    assert await look() is None
    assert len(look.seen) == 230
    assert {status for _, _, status in kintone.asked} == {200}


async def test_whoever_was_cut_off_before_the_cursor_begins_anew(look: Look, kintone: KintoneServer) -> None:
    look.make()
    assert await look() is None
    with look.rt.store.read() as connection:
        row = kept.get(connection, "records")
    assert row is not None
    record = kintone.add(件名="一", **REAL)
    assert await look() is None
    with look.rt.store.write() as connection:
        kept.change(connection, "records", {"cursor": row["cursor"]})
    assert await look() is None
    assert look.seen == [("一", 1, "actual", "rule")]
    kintone.remove(record)
    assert await look() is None
    assert look.seen[1:] == [(ENDED, 2, "actual", "withdrawn")]


async def test_only_what_meets_the_condition_and_its_end_when_an_edit_says_so(
    look: Look, kintone: KintoneServer
) -> None:
    look.make(query='緊急 in ("はい") or 対象 in ("全員")')
    kintone.add(件名="献立", 緊急="いいえ", **REAL)
    record = kintone.add(件名="参集", 緊急="はい", **REAL)
    assert await look() is None
    assert look.seen == [("参集", 1, "actual", "rule")]
    kintone.edit(record, 緊急="いいえ")
    assert await look() is None
    assert look.seen[1:] == [(ENDED, 2, "actual", "withdrawn")]
    kintone.edit(record, 緊急="はい")
    assert await look() is None
    assert look.seen[2:] == [("参集", 3, "actual", "rule")]
    kintone.edit(record, 緊急="いいえ", 対象=["議員", "全員"])
    assert await look() is None
    assert look.seen[3:] == [("参集", 4, "actual", "unchanged")]
    # An administrator's other condition is no edit of the record.
    look.watch(query='緊急 in ("はい")')
    assert await look() is None
    assert len(look.seen) == 4


async def test_a_drill_that_becomes_real_ends_as_a_drill(look: Look, kintone: KintoneServer) -> None:
    look.make()
    record = kintone.add(件名="参集", 区分="訓練")
    kintone.add(件名="線の試験", 区分="試験")
    assert await look() is None
    kintone.edit(record, 区分="本番")
    assert await look() is None
    assert look.seen == [
        ("参集", 1, "drill", "rule"),
        ("線の試験", 1, "test", "test"),
        (ENDED, 2, "drill", "withdrawn"),
        ("参集", 2, "actual", "rule"),
    ]


async def test_nothing_ends_for_what_cannot_be_seen(look: Look, kintone: KintoneServer) -> None:
    look.make()
    record = kintone.add(件名="参集", **REAL)
    assert await look() is None
    for broken, words in (
        (web.Response(text="<html>ログイン</html>", content_type="text/html"), "instead of JSON"),
        (web.json_response({"code": "GAIA_TM12", "message": "混雑"}, status=520), "GAIA_TM12: 混雑"),
        (web.json_response({"records": [{"$id": {"type": "__ID__", "value": "x"}}]}), "not as documented"),
        (web.Response(status=302, headers={"Location": "https://192.0.2.1/login"}), "sends us elsewhere"),
    ):
        kintone.broken = broken
        assert words in (await look() or "")
    kintone.broken = None
    look.watch(app="13")
    assert "GAIA_AP01" in (await look() or "")
    look.watch(token="wrong")
    assert "GAIA_IA02" in (await look() or "")
    look.watch()
    kintone.hidden = {record}
    assert await look() is None
    assert look.seen == [("参集", 1, "actual", "rule")]
    kintone.hidden = set()
    kintone.remove(record)
    assert await look() is None
    assert look.seen[1:] == [(ENDED, 2, "actual", "withdrawn")]


async def test_ends_are_noticed_of_more_than_are_asked_for_at_once(look: Look, kintone: KintoneServer) -> None:
    look.make()
    records = [kintone.add(件名=f"{number}", **REAL) for number in range(120)]
    assert await look() is None
    kintone.remove(records[0])
    kintone.remove(records[-1])
    for _ in range(3):
        assert await look() is None
    assert [reason for *_, reason in look.seen[120:]] == ["withdrawn"] * 2


async def test_what_cannot_be_read_is_told_once_and_read_when_it_can_be(look: Look, kintone: KintoneServer) -> None:
    look.make()
    record = kintone.add(件名="参集", 区分="緊急")
    kintone.add(件名="献立", **REAL)
    assert await look() == f"record {record}: the mapping says nothing of '緊急'"
    assert await look() is None
    assert look.seen == [("献立", 1, "actual", "rule")]
    sources.save_book(look.rt, BOSS, BOOK.replace('["本番"]', '["本番", "緊急"]'))
    assert await look() is None
    assert look.seen[1:] == [("参集", 1, "actual", "rule")]


async def test_the_field_of_the_time_of_edits_may_get_another_code(look: Look, kintone: KintoneServer) -> None:
    look.make()
    assert await look() is None
    kintone.add(件名="一", **REAL)
    assert await look() is None
    with look.rt.store.write() as connection:
        row = kept.get(connection, "records")
        assert row is not None
        assert row["cursor"]["updated"] == "更新日時"
        kept.change(connection, "records", {"cursor": {**row["cursor"], "updated": "Updated_datetime"}})
    kintone.edit(1, 件名="二")
    assert "Updated_datetime" in (await look() or "")
    assert await look() is None
    assert [title for title, *_ in look.seen] == ["一", "二"]


async def test_values_are_read_as_people_see_them_and_ours_are_not_read(look: Look, kintone: KintoneServer) -> None:
    look.make(state_field="確認状況")
    record = kintone.add(
        件名="参集",
        本文="<div>一</div><div>二 &amp; 三</div>",
        対象=["職員", "議員"],
        担当=[{"code": "sato", "name": "佐藤"}, {"code": "kato", "name": "加藤"}],
        班=[{"id": "7", "value": {"名前": {"type": "SINGLE_LINE_TEXT", "value": "一班"}}}],
        確認状況="誰かの言葉",
        **REAL,
    )
    assert await look() is None
    [item] = sources.list_observations(look.rt, limit=10)
    with look.rt.store.read() as connection:
        found = kept.get_observation(connection, item["observation"])
    assert found is not None
    content = found["content"]
    assert content["body"] == "一\n二 & 三"
    assert content["fields"] == {"target": "職員、議員", "staff": "佐藤、加藤", "team": "一班", "state": ""}
    assert content["url"] == f"{kintone.url}/k/{APP}/show#record={record}"
    kintone.edit(record, 確認状況="対象6人")
    assert await look() is None
    assert len(look.seen) == 1


def outcome(incident: str, **changes: Any) -> Outcome:
    at = datetime(2026, 11, 22, 9, tzinfo=UTC)
    told = {"alert_id": "a", "url": "http://x/alerts/a", "title": "t", "is_drill": False, "is_over": False}
    counts = {"revision": 1, "recipients": 6, "acknowledged": 2, "unreachable": 1, "age": timedelta(0), "now": at}
    return Outcome(**{"incident": incident, **told, **counts, **changes})


async def test_the_state_is_written_when_it_has_changed_and_where_it_belongs(
    fetch: HttpFetch, kintone: KintoneServer
) -> None:
    access = KintoneAccess(**kintone.access, state_field="確認状況")
    record = kintone.add(件名="参集", **REAL)
    mine = f"kintone:{APP}:{record}"
    source = Kintone()
    first = await source.write_back(access, fetch, outcome(mine), None)
    assert kintone.state(record) == "確認状況：対象6人のうち2人が確認、連絡手段がない人1人 http://x/alerts/a"
    assert await source.write_back(access, fetch, outcome(mine, age=timedelta(hours=1)), first) is None
    assert await source.write_back(access, fetch, outcome(f"kintone:9{APP}:{record}"), None) is None
    over = await source.write_back(access, fetch, outcome(mine, is_over=True, is_drill=True), first)
    assert kintone.state(record).startswith("【訓練】確認状況（終了）：")
    assert over is not None
    assert len(kintone.writes) == 2
    kintone.may_write = False
    with pytest.raises(Unfetched, match="GAIA_NO01"):
        await source.write_back(access, fetch, outcome(mine), over)
    kintone.may_write = True
    kintone.remove(record)
    assert await source.write_back(access, fetch, outcome(mine), over) is not None
