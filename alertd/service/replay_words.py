"""A replay's report for people at a shell."""

from collections.abc import Iterator, Mapping
from datetime import datetime, tzinfo
from typing import Any, Final

from alertd.core.alert import DRILL_MARK, Bilingual, Language
from alertd.core.replay import NEEDLESS_WORDS, TWICE_WORDS
from alertd.core.rules import REASON_WORDS, Reason

_CAME: Final = Bilingual(
    "{observations} observations: {alerts} alerts ({drills} drills) to {messages} people in all",
    "観測{observations}件：警報{alerts}件（うち訓練{drills}件）、延べ{messages}人",
)
_CUT: Final = Bilingual("only what came before {cut_at} was played", "{cut_at}より前に届いたものだけで試しました")
_NO_DAYS: Final = Bilingual("whenever they were observed", "期間の指定なし")
_COUNTS: Final = (
    ("nights", Bilingual("of them at night (22 to 6)", "うち夜間（22時〜6時）")),
    ("twice", Bilingual("of them twice", "うち二重")),
    ("needless", Bilingual("of them needlessly", "うち不要とみられるもの")),
    ("unreached", Bilingual("of them to nobody", "うち宛先が0人")),
    ("stopped", Bilingual("over before they went out", "送信前に解除")),
    ("updates", Bilingual("updates", "続報")),
    ("stand_downs", Bilingual("stand-downs", "解除の連絡")),
    ("drafts", Bilingual("drafts, which wait for a person", "下書き（確認待ち）")),
    ("capped", Bilingual("of them over the cap of an hour", "うち1時間の上限超過")),
    ("changed_drafts", Bilingual("changes of drafts that wait", "確認待ちの下書きの変更")),
    ("board", Bilingual("posts on the board", "掲示板に掲載")),
    ("left_out", Bilingual("more, not listed here", "以下の一覧にないもの")),
)
_IGNORED: Final = Bilingual("not sent", "送信なし")
_HOURS: Final = Bilingual("alerts by the hour of the day", "時刻別の警報")
_DAYS: Final = Bilingual("by day", "日別")
_RULES: Final = Bilingual("by rule", "規則別")
_TALLY: Final = Bilingual(
    "{alerts} alerts, {nights} at night, {twice} twice, {needless} needlessly, {drafts} drafts, {messages} people",
    "警報{alerts}件（夜間{nights}、二重{twice}、不要{needless}）、下書き{drafts}件、延べ{messages}人",
)
_LIST: Final = Bilingual("alerts and drafts", "警報と下書き")
_PEOPLE: Final = Bilingual("{people} people", "{people}人")
_KINDS: Final = {"alert": Bilingual("alert", "警報"), "draft": Bilingual("draft", "下書き")}
_STOPPED: Final = Bilingual("over before it went out", "送信前に解除")


def worded(report: Mapping[str, Any], language: Language, zone: tzinfo) -> str:
    """What `service.replaying` reports, as lines."""
    return "\n".join(_lines(report, language, zone))


def _lines(report: Mapping[str, Any], language: Language, zone: tzinfo) -> Iterator[str]:
    def say(words: Bilingual, values: Mapping[str, Any] = report) -> str:
        return words.in_language(language).format(**values)

    for fault in report["faults"]:
        yield f"{fault['file']}: {fault['error']}"
    yield f"{report['from']} – {report['to']}" if report["from"] else say(_NO_DAYS)
    if report["cut_at"]:
        yield say(_CUT, {"cut_at": _local(report["cut_at"], zone)})
    yield say(_CAME)
    yield from (f"  {report[name]:>6} {say(words)}" for name, words in _COUNTS if report[name])
    for reason, count in report["ignored"].items():
        yield f"  {count:>6} {say(_IGNORED)}: {say(REASON_WORDS[Reason(reason)])}"
    if report["alerts"]:
        yield f"{say(_HOURS)}:"
        yield "  " + " ".join(f"{hour}:{count}" for hour, count in enumerate(report["hours"]) if count)
    if report["items"]:
        yield f"{say(_DAYS)}:"
        yield from (f"  {day['date']} {say(_TALLY, day)}" for day in report["days"])
        yield f"{say(_RULES)}:"
        yield from (f"  [{rule['rule']}] ({rule['source']}) {say(_TALLY, rule)}" for rule in report["rules"])
        yield f"{say(_LIST)}:"
    for item in report["items"]:
        drill = DRILL_MARK[language] if item["standing"] == "drill" else ""
        yield (
            f"  {_local(item['at'], zone)} {say(_KINDS[item['action']])} {drill}{item['title']}: "
            f"{say(REASON_WORDS[Reason(item['reason'])])} [{item['rule']}] {say(_PEOPLE, item)}"
        )
        if item["action"] == "alert" and not item["sent"]:
            yield f"    - {say(_STOPPED)}"
        if item["lack"]:
            yield f"    - {item['lack']}"
        if item["twice"]:
            first = f"{_local(item['twice']['at'], zone)} {item['twice']['title']}"
            yield f"    - {say(TWICE_WORDS[item['twice']['why']])} ({first})"
        yield from (f"    - {say(NEEDLESS_WORDS[why])}" for why in item["needless"])
        yield from (f"    | {line}".rstrip() for line in item["body"].splitlines())


def _local(at: str, zone: tzinfo) -> str:
    return f"{datetime.fromisoformat(at).astimezone(zone):%Y-%m-%d %H:%M}"
