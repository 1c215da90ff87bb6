"""What titles say of drills: in so many words, perhaps, or not at all."""

import pytest

from alertd.core.drill_words import may_mean_drill, standing_of
from alertd.core.observation import Standing


@pytest.mark.parametrize(
    ("title", "standing", "may_mean"),
    [
        ("【訓練】避難指示", "drill", True),
        ("［ＤＲＩＬＬ］ flood", "drill", True),
        ("（防災訓練）参集", "drill", True),
        ("訓練：参集", "drill", True),
        ("Re: 訓練 参集", "drill", True),
        ("Drill: muster", "drill", True),
        ("[Exercise 3] flood", "drill", False),
        ("【試験】", "test", False),
        ("テスト配信です", "test", False),
        ("[TEST] line", "test", False),
        ("【訓練ではありません】避難指示", "actual", False),
        ("訓練ではありません：避難指示", "actual", False),
        ("This is not a drill", "actual", False),
        ("LATEST flood warning", "actual", False),
        ("入学試験会場で火災", "actual", False),
        ("DRILLING rig on fire", "actual", False),
        ("Exercise caution", "actual", False),
        ("drill rig on fire", "actual", True),
        ("職業訓練校で火災", "actual", True),
        ("避難訓練のお知らせ", "actual", True),
        ("避難指示", "actual", False),
    ],
)
def test_words_for_drills(title: str, standing: Standing, may_mean: bool) -> None:
    assert (standing_of(title), may_mean_drill(title)) == (standing, may_mean)
