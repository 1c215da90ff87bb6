"""What a post's Markdown reads like in a message."""

import pytest

from alertd.service.plain_text import plain_text


@pytest.mark.parametrize(
    ("markdown", "plain"),
    [
        ("ただの文章", "ただの文章"),
        ("一行目\n二行目\n\n三行目", "一行目\n二行目\n\n三行目"),
        ("# 見出し\n\n**至急** *集合*", "見出し\n\n至急 集合"),
        ("- 水\n- 食料\n  - 缶詰\n\n以上", "・水\n・食料\n　・缶詰\n\n以上"),
        ("3. 三\n4. 四", "3. 三\n4. 四"),
        ("[地図](https://maps.example/x?y=1)を見る", "地図を見る"),
        ("https://city.example:8443/a?b#c を見る", "city.example を見る"),
        ("詳細はhttps://city.exampleへ", "詳細はcity.exampleへ"),
        ("> 引用\n\n```\nそのまま *x*\n```", "引用\n\nそのまま *x*"),
        ("<b>x</b> & a_b_c 5 * 3 #1", "<b>x</b> & a_b_c 5 * 3 #1"),
        ("", ""),
    ],
)
def test_its_words_and_lists_stay_and_its_marks_go(markdown: str, plain: str) -> None:
    assert plain_text(markdown) == plain
