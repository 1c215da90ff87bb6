"""The templates that come with the software: what a Japanese town hall sends, in Japanese and in English.

The levels are those of the Cabinet Office's guideline on evacuation information (May 2021), the tsunami warnings those
of the Japan Meteorological Agency.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from alertd.core.alert import Ask, Choice, Language, Severity
from alertd.core.template import Hazard, Template


def _ask(question: str, *labels: str) -> Ask:
    return Ask(question, tuple(Choice(f"c{number}", label) for number, label in enumerate(labels, 1)))


_SAFE_JA: Final = _ask(
    "無事ですか。参集できますか。",
    "無事・60分以内に参集できる",
    "無事・参集に60分を超える",
    "無事・参集できない",
    "けがをした・助けが必要",
)
_SAFE_EN: Final = _ask(
    "Are you safe? Can you come in?",
    "Safe, can come within 60 minutes",
    "Safe, need more than 60 minutes",
    "Safe, cannot come",
    "Hurt, or need help",
)
_POST_JA: Final = _ask("配置につけますか。", "配置についた", "向かっている", "配置につけない")
_POST_EN: Final = _ask("Can you take your post?", "At my post", "On my way", "Cannot")
_COME_JA: Final = _ask(
    "参集できますか。", "30分以内に参集できる", "60分以内に参集できる", "60分を超える", "参集できない"
)
_COME_EN: Final = _ask(
    "Can you come in?", "Within 30 minutes", "Within 60 minutes", "In more than 60 minutes", "Cannot come"
)

_EXAMPLES: Final = {
    "時刻": "6時45分",
    "場所": "みなと市中央",
    "震度": "５強",
    "参集場所": "市役所３階 災害対策本部",
    "警報の種類": "大津波警報",
    "予報区": "みなと湾沿岸",
    "予想される高さ": "５ｍ",
    "対象地区": "川西地区・浜町地区",
    "理由": "みなと川の水位が避難判断水位に達した",
    "避難場所": "第一小学校・中央公民館",
    "止まったもの": "停電",
    "復旧見込み": "本日18時ごろ",
    "火災の場所": "本町２丁目 倉庫",
    "特徴": "80代男性、紺の上着、つえ",
    "最後に見た場所": "みなと駅前 15時ごろ",
    "担当": "第２配備の職員",
    "回答期限": "9時15分",
    "想定": "みなと湾を震源とする地震",
    "time": "06:45",
    "place": "Minato City centre",
    "intensity": "5 upper",
    "assembly point": "City hall, 3rd floor",
    "kind of warning": "Major tsunami warning",
    "coast": "Minato Bay",
    "expected height": "5 m",
    "districts": "Kawanishi, Hamacho",
    "reason": "the Minato River has reached the level for evacuation",
    "shelters": "First Elementary School, Central Hall",
    "what is cut": "Power",
    "back by": "18:00 today",
    "site": "warehouse, Honmachi 2",
    "description": "man in his 80s, dark blue jacket, walking stick",
    "last seen": "Minato Station, about 15:00",
    "who": "staff of the second alert stage",
    "answer by": "09:15",
    "scenario": "earthquake under Minato Bay",
}

_Row = tuple[str, str, Hazard, Severity, str, str, Ask | None, int]

_JAPANESE: Final[tuple[_Row, ...]] = (
    (
        "quake", "震度５弱以上：安否確認・参集", "earthquake", "extreme",
        "震度{震度}の地震：安否と参集の可否を回答",
        "{時刻}ごろ、{場所}で震度{震度}を観測しました。\n\n"
        "1. まず自分と家族の安全を確保してください。\n"
        "2. 下の選択肢から一つ選んで回答してください。\n"
        "3. 参集できる人は、安全な経路で{参集場所}へ来てください。\n\n"
        "津波のおそれがあります。海岸や川の河口には近づかないでください。",
        _SAFE_JA, 12,
    ),
    (
        "tsunami", "津波警報・大津波警報", "tsunami", "extreme",
        "{警報の種類}：ただちに高台へ避難",
        "{時刻}、{予報区}に{警報の種類}が発表されました。予想される津波の高さは{予想される高さ}です。\n\n"
        "- 海岸や川沿いにいる人は、ただちに高台か津波避難ビルへ避難してください。\n"
        "- 警報が解除されるまで、浸水想定区域に戻らないでください。\n"
        "- 参集は、浸水想定区域を通らずに来られる場合だけにしてください。",
        _ask("いまどのような状況ですか。", "安全な場所にいる", "避難している途中", "助けが必要"), 24,
    ),
    (
        "level3", "警戒レベル３ 高齢者等避難", "flood", "severe",
        "警戒レベル３ 高齢者等避難：{対象地区}",
        "{時刻}、{対象地区}に警戒レベル３「高齢者等避難」を発令しました。{理由}ためです。\n\n"
        "- 開設する避難場所：{避難場所}\n"
        "- 避難所の担当者は、ただちに配置についてください。\n"
        "- 避難に時間がかかる人への声かけを始めてください。",
        _POST_JA, 12,
    ),
    (
        "level4", "警戒レベル４ 避難指示", "flood", "extreme",
        "警戒レベル４ 避難指示：{対象地区}",
        "{時刻}、{対象地区}に警戒レベル４「避難指示」を発令しました。{理由}ためです。\n\n"
        "- 危険な場所から全員避難です。職員も、危険な場所にいる人は避難してください。\n"
        "- 開設している避難場所：{避難場所}\n"
        "- 避難所と現場の担当者は、配置と状況を回答してください。",
        _POST_JA, 12,
    ),
    (
        "level5", "警戒レベル５ 緊急安全確保", "flood", "extreme",
        "警戒レベル５ 緊急安全確保：{対象地区}",
        "{時刻}、{対象地区}に警戒レベル５「緊急安全確保」を発令しました。{理由}ためです。\n\n"
        "- 命の危険が迫っています。ただちに身の安全を確保してください。\n"
        "- 外への移動が危険なときは、少しでも高く、崖や川から離れた部屋へ移ってください。\n"
        "- 現場の活動を中断し、安全な場所から状況を回答してください。",
        _ask("安全な場所にいますか。", "安全な場所にいる", "移動している途中", "助けが必要"), 12,
    ),
    (
        "landslide", "土砂災害警戒情報", "landslide", "extreme",
        "土砂災害警戒情報：{対象地区}",
        "{時刻}、{対象地区}に土砂災害警戒情報が発表されました。\n\n"
        "- 崖や渓流の近くにいる人は、ただちに離れてください。\n"
        "- 避難場所：{避難場所}\n"
        "- 巡回中の職員は、斜面に近づかず、安全な場所から状況を回答してください。",
        _ask("いまどのような状況ですか。", "安全な場所にいる", "避難している途中", "助けが必要"), 12,
    ),
    (
        "outage", "停電・断水", "outage", "severe",
        "{止まったもの}：{対象地区}",
        "{時刻}から、{対象地区}で{止まったもの}が発生しています。復旧の見込みは{復旧見込み}です。\n\n"
        "- 施設の担当者は、非常用電源・給水と利用者の安全を確認してください。\n"
        "- 支援が必要な住民の情報は、災害対策本部へ知らせてください。",
        _ask("担当する施設の状況を選んでください。", "支障なし", "支障があるが対応できる", "応援が必要"), 12,
    ),
    (
        "fire", "火災", "fire", "severe",
        "火災発生：{火災の場所}",
        "{時刻}、{火災の場所}で火災が発生しました。\n\n"
        "- 付近にいる人は、風上の安全な場所へ離れてください。\n"
        "- 消防の活動を妨げないよう、現場には近づかないでください。\n"
        "- {担当}は、{参集場所}へ参集してください。",
        _COME_JA, 6,
    ),
    (
        "missing", "行方不明者の捜索", "missing", "severe",
        "行方不明者の捜索：{最後に見た場所}",
        "次の人を捜しています。\n\n"
        "- 特徴：{特徴}\n"
        "- 最後に見た場所と時刻：{最後に見た場所}\n\n"
        "見かけた人は、声をかけて安全を確かめ、110番か災害対策本部へ知らせてください。"
        "捜索に加わる人は、{参集場所}へ集まってください。",
        _ask("捜索に加われますか。", "30分以内に加われる", "60分以内に加われる", "加われない"), 6,
    ),
    (
        "callout", "職員の参集", "callout", "severe",
        "参集：{担当}は{参集場所}へ",
        "{担当}は、{参集場所}へ参集してください。理由：{理由}。\n\n"
        "安全な経路を選び、危険なときは無理をしないでください。到着したら受付で名前を告げてください。",
        _COME_JA, 12,
    ),
    (
        "exercise", "訓練（安否・参集の回答）", "drill", "severe",
        "安否と参集の可否を回答：{想定}",
        "想定：{想定}（{時刻}）。\n\n"
        "下の選択肢から一つ選んで、{回答期限}までに回答してください。"
        "電話や窓口での問い合わせは不要です。",
        _SAFE_JA, 3,
    ),
)  # fmt: skip

_ENGLISH: Final[tuple[_Row, ...]] = (
    (
        "quake", "Earthquake, intensity 5 lower or more: safety and call-out", "earthquake", "extreme",
        "Earthquake {intensity}: are you safe?",
        "At {time} an earthquake of seismic intensity {intensity} was observed in {place}.\n\n"
        "1. See to your own and your family’s safety first.\n"
        "2. Choose one of the answers below.\n"
        "3. If you can come in, come by a safe way to: {assembly point}.\n\n"
        "There may be a tsunami. Stay away from the coast and from river mouths.",
        _SAFE_EN, 12,
    ),
    (
        "tsunami", "Tsunami warning, major tsunami warning", "tsunami", "extreme",
        "{kind of warning}: go to high ground now",
        "{kind of warning} for {coast}, issued at {time}. Expected height: {expected height}.\n\n"
        "- If you are near the coast or a river, go to high ground or a tsunami evacuation building now.\n"
        "- Do not go back into the flood zone before the warning is lifted.\n"
        "- Come in to work only if your way does not lead through the flood zone.",
        _ask("How are you?", "In a safe place", "On the way there", "I need help"), 24,
    ),
    (
        "level3", "Level 3: evacuation of the elderly and others", "flood", "severe",
        "Level 3, elderly evacuate: {districts}",
        "At {time} level 3 (evacuation of the elderly and others) was issued for {districts}: {reason}.\n\n"
        "- Shelters that open: {shelters}\n"
        "- Shelter staff: go to your posts now.\n"
        "- Begin to call on those who need time to leave.",
        _POST_EN, 12,
    ),
    (
        "level4", "Level 4: evacuation order", "flood", "extreme",
        "Level 4, evacuate: {districts}",
        "At {time} level 4 (evacuation order) was issued for {districts}: {reason}.\n\n"
        "- Everybody leaves dangerous places. This means staff as well.\n"
        "- Open shelters: {shelters}\n"
        "- Shelter and field staff: answer where you are.",
        _POST_EN, 12,
    ),
    (
        "level5", "Level 5: emergency safety measures", "flood", "extreme",
        "Level 5, save your life: {districts}",
        "At {time} level 5 (emergency safety measures) was issued for {districts}: {reason}.\n\n"
        "- Lives are in danger. Make yourself safe now.\n"
        "- If it is dangerous outside, go to a higher room away from slopes and rivers.\n"
        "- Stop work in the field, and answer from a safe place.",
        _ask("Are you in a safe place?", "In a safe place", "On the way there", "I need help"), 12,
    ),
    (
        "landslide", "Landslide alert", "landslide", "extreme",
        "Landslide alert: {districts}",
        "At {time} a landslide alert was issued for {districts}.\n\n"
        "- Leave slopes and streams now.\n"
        "- Shelters: {shelters}\n"
        "- Patrols: keep away from slopes, and answer from a safe place.",
        _ask("How are you?", "In a safe place", "On the way there", "I need help"), 12,
    ),
    (
        "outage", "Power or water cut", "outage", "severe",
        "{what is cut} cut: {districts}",
        "{what is cut} has been cut in {districts} since {time}. It is expected back by {back by}.\n\n"
        "- Facility staff: check emergency power, water, and that visitors are safe.\n"
        "- Tell the emergency office of residents who need support.",
        _ask("How is your facility?", "No trouble", "Trouble, but we manage", "We need support"), 12,
    ),
    (
        "fire", "Fire", "fire", "severe",
        "Fire: {site}",
        "A fire broke out at {time}: {site}.\n\n"
        "- If you are near it, move away, upwind.\n"
        "- Keep clear of the fire brigade.\n"
        "- {who}: come to {assembly point}.",
        _COME_EN, 6,
    ),
    (
        "missing", "Search for a missing person", "missing", "severe",
        "Missing person: {last seen}",
        "We are looking for somebody.\n\n"
        "- Description: {description}\n"
        "- Last seen: {last seen}\n\n"
        "If you see them, speak to them, see that they are safe, and call 110 or the emergency office. "
        "If you join the search, come to {assembly point}.",
        _ask("Can you join the search?", "Within 30 minutes", "Within 60 minutes", "Cannot"), 6,
    ),
    (
        "callout", "Staff call-out", "callout", "severe",
        "Come in: {who}, to {assembly point}",
        "{who}: come to {assembly point}. Reason: {reason}.\n\n"
        "Choose a safe way, and take no risks. Report at the desk when you arrive.",
        _COME_EN, 12,
    ),
    (
        "exercise", "Drill (safety and call-out answers)", "drill", "severe",
        "Are you safe, can you come? {scenario}",
        "Scenario: {scenario} ({time}).\n\n"
        "Choose one of the answers below by {answer by}. You need not call or come to the desk.",
        _SAFE_EN, 3,
    ),
)  # fmt: skip


def _made(language: Language, rows: Sequence[_Row]) -> Iterator[tuple[str, str, Template]]:
    for stem, name, hazard, severity, title, body, ask, hours in rows:
        template = Template(language, hazard, title, body, severity=severity, ask=ask, life_hours=hours)
        examples = tuple((field, _EXAMPLES[field]) for field, _ in template.fields)
        complete = Template(language, hazard, title, body, examples, severity, ask, life_hours=hours)
        yield f"{stem}-{language}", name, complete


STANDARD_TEMPLATES: Final = (*_made("ja", _JAPANESE), *_made("en", _ENGLISH))
"""Each as (id, name, template), in the order in which they are offered."""
