"""The one alert of the show. It is a drill, and says so wherever it is read."""

from typing import Any, Final

TITLE: Final = "大地震の想定: 安否を答えてください"
BODY: Final = (
    "防災訓練です。実際の災害ではありません。\n"
    "本日、みかん市で震度6強の地震が起きたと想定します。いまの状況を答えてください。\n\n"
    "This is a drill; nothing has happened. Imagine a strong earthquake in the city just now and answer how you are."
)
QUESTION: Final = "無事ですか"
CHOICES: Final = {"safe": "無事・出勤できます", "away": "無事・出勤できません", "hurt": "けがをしています"}
_MARKS: Final = ("【訓練】", "[DRILL]")


def post_body() -> dict[str, Any]:
    """What the manager posts."""
    return {
        "board": "general",
        "title": TITLE,
        "body": BODY,
        "urgent": True,
        "drill": True,
        "severity": "extreme",
        "audience": {"everyone": True},
        "ask": {
            "question": QUESTION,
            "choices": [{"id": name, "label": label} for name, label in CHOICES.items()],
        },
    }


def fault_in(text: str) -> str | None:
    """What is missing in a copy of the alert as somebody reads it."""
    if TITLE not in text:
        return "does not hold the title"
    return None if text.startswith(_MARKS) else "does not begin by saying that it is a drill"
