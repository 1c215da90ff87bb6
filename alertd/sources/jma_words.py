"""The Agency's code tables and wordings: which telegram it is, and how bad what it says is.

The tables are those of 気象庁防災情報XMLフォーマット 技術資料 (xml.kishou.go.jp/tec_material.html): コード管理表,
個別コード表, 電文毎の解説資料; each names its own. Digits and letters are compared as half-width ones.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Final

# 解説資料整理表: the telegrams that a title (情報名称) may stand for, the usual one first.
_TITLES: Final[Mapping[str, tuple[str, ...]]] = {
    "震度速報": ("VXSE51",),
    "震源に関する情報": ("VXSE52",),
    "震源・震度に関する情報": ("VXSE53",),
    "津波警報・注意報・予報": ("VTSE41",),
    "津波情報": ("VTSE51",),
    "沖合の津波観測に関する情報": ("VTSE52",),
    "気象特別警報・警報・注意報": ("VPWW53",),
    "気象警報・注意報(H27)": ("VPWW54",),
    "気象警報・注意報(R06)(大雨)": ("VPWW55",),
    "気象警報・注意報(R06)(土砂)": ("VPWW56",),
    "気象警報・注意報(R06)(高潮)": ("VPWW57",),
    "気象警報・注意報(R06)(暴風)": ("VPWW58",),
    "気象警報・注意報(R06)(波浪)": ("VPWW59",),
    "気象警報・注意報(R06)(大雪)": ("VPWW60",),
    "気象警報・注意報(R06)(その他注意報)": ("VPWW61",),
    "気象警報・注意報(R06)(集約通報)": ("VPWS50",),
    "土砂災害警戒情報": ("VXWW50",),
    "指定河川洪水予報": ("VXKO",),
    "噴火警報・予報": ("VFVO50",),
    "噴火に関する火山観測報": ("VFVO52",),
    "噴火速報": ("VFVO56",),
    "記録的短時間大雨情報": ("VPOA50",),
    "南海トラフ地震臨時情報": ("VYSE50",),
    "南海トラフ地震関連解説情報": ("VYSE51", "VYSE52"),
}
_CODE: Final = re.compile(r"(?<![A-Z0-9])V[A-Z]{3}[0-9]{2}(?![0-9])")

# コード管理表 "WeatherWarning" with the codes of 2026-05-28 (危険警報 4x, 土砂災害 x9): what it is about, how high.
# Where a name has no レベル (all of VPWW53/54; in VPWW58 to 61 暴風, 波浪, 大雪 and the rest) the rank is that of the
# same word where it has one: レベル５…特別警報, レベル４…危険警報, レベル３…警報, レベル２…注意報, from 内閣府
# 避難情報に関するガイドライン and 配信資料に関する技術情報 第634号. Only the rank; the words stay the Agency's.
WARNINGS: Final[Mapping[str, tuple[str, int]]] = {
    "02": ("暴風雪", 3),
    "03": ("大雨", 3),
    "04": ("洪水", 3),
    "05": ("暴風", 3),
    "06": ("大雪", 3),
    "07": ("波浪", 3),
    "08": ("高潮", 3),
    "09": ("土砂災害", 3),
    "10": ("大雨", 2),
    "12": ("大雪", 2),
    "13": ("暴風雪", 2),  # 風雪注意報: what it becomes when it gets worse is 暴風雪警報
    "14": ("雷", 2),
    "15": ("暴風", 2),  # 強風注意報, likewise
    "16": ("波浪", 2),
    "17": ("融雪", 2),
    "18": ("洪水", 2),
    "19": ("高潮", 2),
    "20": ("濃霧", 2),
    "21": ("乾燥", 2),
    "22": ("なだれ", 2),
    "23": ("低温", 2),
    "24": ("霜", 2),
    "25": ("着氷", 2),
    "26": ("着雪", 2),
    "27": ("その他", 2),
    "29": ("土砂災害", 2),
    "32": ("暴風雪", 5),
    "33": ("大雨", 5),
    "35": ("暴風", 5),
    "36": ("大雪", 5),
    "37": ("波浪", 5),
    "38": ("高潮", 5),
    "39": ("土砂災害", 5),
    "43": ("大雨", 4),
    "48": ("高潮", 4),
    "49": ("土砂災害", 4),
}
_SAME: Final[Mapping[str, str]] = {"強風": "暴風", "風雪": "暴風雪", "土砂": "土砂災害"}
# The hazards that a telegram is about even where it names none.
HAZARDS: Final[Mapping[str, tuple[str, ...]]] = {
    "VPWW55": ("大雨",),
    "VPWW56": ("土砂災害",),
    "VPWW57": ("高潮",),
    "VPWW58": ("暴風", "暴風雪"),
    "VPWW59": ("波浪",),
    "VPWW60": ("大雪",),
}
_RANK_WORDS: Final = (("特別警報", 5), ("危険警報", 4), ("警報", 3), ("注意報", 2))

# 解説資料 "土砂災害警戒情報": it is level 4 (レベル４土砂災害危険警報 in its titles since 2026). 0 なし, 1 解除.
LANDSLIDE: Final[Mapping[str, int]] = {"0": 0, "1": 0, "3": 4}

# 解説資料 "指定河川洪水予報", the kinds of forecast. 22 is 氾濫注意情報（警戒情報解除）: level 2 is still in force.
RIVER: Final[Mapping[str, int]] = {
    "10": 0,
    "20": 2,
    "21": 2,
    "22": 2,
    "30": 3,
    "31": 3,
    "40": 4,
    "41": 4,
    "50": 5,
    "51": 5,
    "53": 5,
}
_RIVER_WORDS: Final = (("氾濫発生", 5), ("氾濫危険", 4), ("氾濫警戒", 3), ("氾濫注意", 2))

# コード管理表 "警報等情報要素／津波警報・注意報・予報". 00 津波なし, 50 警報解除, 60 津波注意報解除.
TSUNAMI: Final[Mapping[str, int]] = {
    "00": 0,
    "50": 0,
    "51": 3,
    "52": 4,
    "53": 4,
    "60": 0,
    "62": 2,
    "71": 1,
    "72": 1,
    "73": 1,
}
TSUNAMI_OVER: Final = ("50", "60")
_TSUNAMI_WORDS: Final = (("大津波警報", 4), ("津波警報", 3), ("津波注意報", 2), ("津波予報", 1))

# コード管理表 "VolcanicWarning". What has no levels is ranked as the level whose warning it has: 火口周辺危険 as 2,
# 入山危険 as 3, 居住地域厳重警戒 as 5; 山麓厳重警戒 as 4; 周辺海域警戒, for ships, as 3.
VOLCANO: Final[Mapping[str, int]] = {
    "11": 1,
    "12": 2,
    "13": 3,
    "14": 4,
    "15": 5,
    "21": 1,
    "22": 2,
    "23": 3,
    "24": 4,
    "25": 5,
    "35": 1,
    "36": 3,
}
# Municipalities that the warning is no longer for (04 噴火予報：警報解除) or that never had one (05 噴火予報).
VOLCANO_PLACES: Final[Mapping[str, int]] = {"04": 0, "05": 1}

# 解説資料 "地震情報": 震度 as MaxInt has it and as a headline words it.
INTENSITY: Final[Mapping[str, str]] = {
    "1": "震度１",
    "2": "震度２",
    "3": "震度３",
    "4": "震度４",
    "5-": "震度５弱",
    "5+": "震度５強",
    "6-": "震度６弱",
    "6+": "震度６強",
    "7": "震度７",
}
_INTENSITY_WORDS: Final[Mapping[str, str]] = {
    **{unicodedata.normalize("NFKC", words): degree for degree, words in INTENSITY.items()},
    # No reading has come from where at least this is thought likely.
    "震度5弱以上未入電": "5-",
}

# 解説資料 "南海トラフ地震に関連する情報": the keyword stands in the title.
NANKAI: Final = (("巨大地震警戒", "extreme"), ("巨大地震注意", "severe"), ("調査中", "moderate"))

_LEVEL: Final = r"レベル ?[1-5]"
# The same as others write it: レベル五, レベルⅤ (V, once it is in one width), レベルは5, level 5.
_LEVEL_OTHERWISE: Final = re.compile(
    r"(?:レベル|\blevel)(?:\s|[:=-]){0,3}は?\s{0,3}(?:([1-5])(?![0-9])|([二三四五]|IV|V(?![A-Za-z])|I{2,3}(?![A-Za-z])))",
    re.IGNORECASE,
)
_DEGREES: Final[Mapping[str, int]] = {"二": 2, "三": 3, "四": 4, "五": 5, "II": 2, "III": 3, "IV": 4, "V": 5}
# Words that name level 5 (and 4) without its number.
_LEVEL_WORDS: Final[Mapping[str, int]] = {
    "特別警報": 5,
    "大津波警報": 5,
    "氾濫発生": 5,
    "緊急安全確保": 5,
    "危険警報": 4,
}
_WORD: Final = f"(?:{_LEVEL}[^、。,\n]{{0,12}}?(?:警報|注意報)|{_LEVEL}|{'|'.join(_LEVEL_WORDS)})"
# More warnings that the same is said of: 大津波警報・津波警報を…
_LIST: Final = r"(?:[・、やと][^。、・\n]{0,12}?(?:警報|注意報))*"
# What stands between a warning and what is said of it: no other warning, and not that it was issued.
_BETWEEN: Final = r"(?:(?!発表|継続|警報|注意報|レベル)(?:[^。、\n]|(?<=[はをが])、)){0,40}?"
_OVER: Final = (
    # 解除されるまで, 解除されていません and 解除の見込み say that it is still in force; レベル４に引き下げ that 4 is.
    r"(?:解除(?!されるまで|するまで|[さし](?:れ)?てい(?:な|ません)|の見込|する見込|される見込)"
    r"|(?<![にへ])引き?下げ(?!(?:られ)?てい(?:な|ません)|る見込)|取り?消(?!してい(?:な|ません)))"
)
_DENIALS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        f"{_WORD}{_LIST}{_BETWEEN}{_OVER}",
        # "from level 5" is to a lower one.
        f"{_WORD}(?:相当|\\([^)\n]{{0,20}}\\))?から",
        # 大雨特別警報を大雨警報に切り替え; not 大雨警報を大雨特別警報に切り替え.
        f"{_WORD}[はをが]、?(?:(?!発表|継続)[^。\n]){{0,40}}?[にへ](?:切り?替え|変更|引き?下げ)(?!る可能性|る見込)",
        f"{_WORD}(?:では(?:な|ありません)|[はを]発表[しさ](?:れ)?てい(?:な|ません))",
        f"{_WORD}級?(?:の|に切り?替える|に切り?替わる|を発表する|となる|になる)(?:可能性|おそれ|恐れ|見込|基準)",
        # 【解除】大雨特別警報
        f"解除[^。、\n一-龠ぁ-ん]{{1,3}}(?:(?!発表|継続)[^。、\n]){{0,12}}?{_WORD}",
    )
)
# レベルを３（入山規制）から５（避難）に引上げ
_MOVED: Final = re.compile(r"レベル[をは][^。\n]{0,40}?([1-5])(?:\([^)\n]{0,20}\))?[にへ]引き?[上下]げ")
_TEXT_MAX: Final = 200_000  # characters that are looked at


def plain(text: str) -> str:
    """As words are compared: half-width digits and letters, without space around them."""
    return unicodedata.normalize("NFKC", text).strip()


def telegram_of(title: str, kind: str, name: str) -> str:
    """Which telegram it is, VTSE41 and so on, as its title has it; for an unknown one as its file's name or the words
    of its InfoKind. All of VXKO50 to 89 are VXKO: the number says only where the river is.
    """
    # A letter at the end (津波情報a) tells the course it takes, nothing else.
    known = _TITLES.get(re.sub(r"[a-z]$", "", plain(title))) or _TITLES.get(plain(kind), ())
    code = _CODE.search(name)
    hint = "VXKO" if code and code[0].startswith("VXKO") else code[0] if code else ""
    if known:
        return hint if hint in known else known[0]
    return hint


def warning_of(code: str, name: str) -> tuple[str, int]:
    """What a weather warning is about and its rank: as its code has it, and its name if that says more."""
    hazard, rank = WARNINGS.get(code, ("", 0))
    words = plain(name)
    if not hazard:
        hazard = re.sub(rf"^{_LEVEL}|(?:特別警報|危険警報|警報|注意報).*$", "", words)
    return _SAME.get(hazard, hazard), max(rank, _rank_in(words))


def _rank_in(words: str) -> int:
    level = re.search(_LEVEL, words)
    if level:
        return int(level[0][-1])
    return next((rank for word, rank in _RANK_WORDS if word in words), 0)


def hazards_in(text: str) -> list[str]:
    """The hazards of weather warnings that a text names."""
    named = re.findall("([ァ-ヶー一-龠]+?)(?:特別警報|危険警報|警報|注意報)", re.sub(_LEVEL, " ", plain(text)))
    known = {hazard for hazard, _ in WARNINGS.values()}
    found = [_SAME.get(end, end) for name in named for end in (name[start:] for start in range(len(name)))]
    return [hazard for hazard in dict.fromkeys(found) if hazard in known]


def river_rank(code: str, name: str) -> int:
    if code in RIVER:
        return RIVER[code]
    words = plain(name)
    known = next((rank for word, rank in _RIVER_WORDS if word in words), 0)
    return 0 if "解除" in words else max(known, _rank_in(words))


def volcano_rank(code: str, name: str) -> int:
    level = re.search(_LEVEL, plain(name))
    return max(VOLCANO.get(code, 0), int(level[0][-1]) if level else 0)


def tsunami_rank(code: str, name: str) -> int:
    if code in TSUNAMI:
        return TSUNAMI[code]
    words = plain(name)
    return 0 if "解除" in words else next((rank for word, rank in _TSUNAMI_WORDS if word in words), 0)


def intensity_of(text: str) -> str:
    """A degree of the scale of intensities, as MaxInt or a headline has it; "" for what is none."""
    words = plain(text)
    return words if words in INTENSITY else _INTENSITY_WORDS.get(words, "")


def _as_usual(found: re.Match[str]) -> str:
    return f"レベル{found[1] or _DEGREES[found[2].upper()]}"


def level_in(texts: Iterable[str]) -> int:
    """The highest warning level (1 to 5) that texts name as being in force; 0 where they name none.

    What denies one in the same breath does not name it: lifted, lowered, changed to another, only possible. Whatever
    is in doubt counts: a level too high is seen by whoever reads it, one too low by nobody.
    """
    text = _LEVEL_OTHERWISE.sub(_as_usual, plain("\n".join(texts))[:_TEXT_MAX])
    levels = [int(level) for level in _MOVED.findall(text)]
    for denial in _DENIALS:
        text = denial.sub("■", text)
    levels += [int(level[-1]) for level in re.findall(_LEVEL, text)]
    levels += [level for word, level in _LEVEL_WORDS.items() if word in text]
    return max(levels, default=0)
