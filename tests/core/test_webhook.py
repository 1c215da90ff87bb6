"""What others' systems are told: signed as the standard has it, and a drill wherever one looks."""

import base64
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from alertd.core import webhook

# The example of Standard Webhooks' own libraries; `openssl dgst -sha256 -hmac` comes to the same.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
AT = datetime.fromtimestamp(1_614_265_330, UTC)
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
OTHER = webhook.make_secret(bytes(range(32)))
FACTS: dict[str, Any] = {
    "id": "A1",
    "kind": "alert",
    "revision": 1,
    "revision_kind": "alert",
    "title": "避難所を開設しました",
    "body": "第一小学校へ。",
    "severity": "extreme",
    "drill": False,
    "ask": None,
    "sent_at": "2026-11-22T03:04:05.678Z",
    "expires_at": "2026-11-22T15:04:05.678Z",
    "state": "active",
}


def test_it_signs_as_the_standard_does() -> None:
    assert webhook.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", AT, '{"test": 2432232314}', [SECRET]) == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": SIGNATURE,
    }


def test_the_example_of_the_documentation_believes_it_and_nothing_else() -> None:
    written = (Path(__file__).parents[2] / "docs" / "sources.md").read_text("utf-8")
    [example] = re.findall(r"```python\n(.+?)```", written, re.DOTALL)
    names: dict[str, Any] = {}
    exec(example, names)  # noqa: S102 - our own text
    is_ours = names["is_ours"]
    now = datetime.now(UTC)
    sent = webhook.headers("msg_1", now, "訓練", [OTHER, SECRET])
    assert is_ours(SECRET, sent, "訓練".encode())
    assert is_ours(OTHER, sent, "訓練".encode())
    assert not is_ours(webhook.make_secret(bytes(32)), sent, "訓練".encode())
    assert not is_ours(SECRET, sent, "本番".encode())
    assert not is_ours(SECRET, {**sent, "webhook-id": "msg_2"}, "訓練".encode())
    late = webhook.headers("msg_1", now - timedelta(minutes=6), "訓練", [SECRET])
    assert not is_ours(SECRET, late, "訓練".encode())


def test_while_a_secret_is_changed_both_sign() -> None:
    sent = webhook.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", AT, '{"test": 2432232314}', [OTHER, SECRET])
    first, second = sent["webhook-signature"].split(" ")
    assert second == SIGNATURE
    assert first.startswith("v1,")
    assert first != second


def test_a_secret_is_as_the_standard_wants_it() -> None:
    assert webhook.SECRET_BYTES == 32
    assert base64.b64decode(OTHER.removeprefix("whsec_"), validate=True) == bytes(range(32))


def test_it_is_tried_again_for_a_day() -> None:
    pauses = [webhook.pause_after(tries) for tries in range(1, 8)]
    assert [pause.total_seconds() for pause in pauses if pause] == [5, 300, 1_800, 7_200, 18_000, 36_000, 36_000]
    assert webhook.pause_after(8) is None
    assert timedelta(days=1) < sum((pause for pause in pauses if pause), timedelta()) < timedelta(hours=28)


def test_a_message_says_when_and_what() -> None:
    made = json.loads(webhook.body("alert.created", AT, webhook.said(FACTS, "https://alert.example.jp/alerts/A1")))
    assert (made["type"], made["timestamp"]) == ("alert.created", "2021-02-25T15:02:10.000Z")
    assert made["data"].items() >= {"id": "A1", "revision": 1, "kind": "alert", "drill": False}.items()
    assert (made["data"]["title"], made["data"]["url"]) == (FACTS["title"], "https://alert.example.jp/alerts/A1")


@pytest.mark.parametrize("title", ["避難所を開設しました", "【訓練】避難所を開設しました"])
def test_a_drill_is_one_in_its_mark_and_once_in_its_title(title: str) -> None:
    drill = {**FACTS, "drill": True, "title": title}
    for data, kind in (
        (webhook.said(drill, "u"), "alert"),
        (webhook.said({**drill, "revision_kind": "cancel"}, "u"), "cancel"),
        (webhook.expired({**drill, "state": "expired"}, "u"), "expired"),
    ):
        assert (data["drill"], data["kind"]) == (True, kind)
        assert data["title"].startswith("【訓練】")
        assert data["title"].count("訓練") == 1
    assert webhook.counted(drill, {"recipients": 3})["drill"] is True


def test_whoever_shows_only_the_title_shows_that_it_is_called_off() -> None:
    assert webhook.said({**FACTS, "revision_kind": "cancel"}, "u")["title"] == "【解除】避難所を開設しました"
