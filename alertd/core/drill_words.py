"""Whether words that people wrote say that they are a drill, or a test of the line; and whether they may mean one."""

import re
import unicodedata
from typing import Final

from alertd.core.observation import Standing

_OPEN, _CLOSE = r"[【\[(「『〔<《]\s*", r"[】\])」』〕>》]"
_INSIDE: Final = r"[^】\])」』〕>》]{0,20}?"
# 訓練ではありません, 訓練じゃない, 訓練などではなく
_NOT: Final = r"(?!(?:など)?(?:では|で|じゃ)(?:ない|なく|ありません))"
_DRILL: Final = re.compile(
    rf"{_OPEN}{_INSIDE}(?:訓練|演習){_NOT}{_INSIDE}{_CLOSE}|{_OPEN}(?:drill|exercise)\b{_INSIDE}{_CLOSE}"
    r"|\A(?:re:\s*|fwd?:\s*)*(?:(?:訓練|演習)[\s:・、]|(?:drill|exercise)\s*:)",
    re.IGNORECASE,
)
_TEST: Final = re.compile(
    rf"{_OPEN}(?:試験|テスト|test\b){_INSIDE}{_CLOSE}|\A(?:試験|テスト)(?:配信|送信|放送|電文|メール|です|[\s:・、])",
    re.IGNORECASE,
)
_MAY_MEAN: Final = re.compile(rf"(?:訓練|演習){_NOT}|(?<!not a )\bdrill\b", re.IGNORECASE)


def standing_of(title: str) -> Standing:
    """What a title says of itself in so many words: 【訓練】, [DRILL], 訓練：…, 【試験】, テスト配信."""
    plain = _plain(title)
    if _DRILL.search(plain):
        return "drill"
    return "test" if _TEST.search(plain) else "actual"


def may_mean_drill(title: str) -> bool:
    """Whether a title has a word for a drill in it, which may name one or not: 避難訓練のお知らせ, 職業訓練校で火災."""
    return _MAY_MEAN.search(_plain(title)) is not None


def _plain(text: str) -> str:
    """In one width: ［ＤＲＩＬＬ］ is [DRILL]."""
    return unicodedata.normalize("NFKC", text).strip()
