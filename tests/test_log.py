"""What is taken out of logs, whoever quotes it."""

import pytest

from alertd.log import redact


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (
            "InvalidURL: https://prod-1.japaneast.logic.azure.com:443/workflows/0a/triggers/invoke?sig=s3 x",
            "InvalidURL: <webhook> x",
        ),
        ("https://midori.webhook.office.com/webhookb2/0a@0b/IncomingWebhook/0c", "<webhook>"),
        ("https://x.environment.api.powerplatform.com/powerautomate/workflows/0a?sig=s3", "<webhook>"),
        ("token xoxb-0123-4567-abcDEF is wrong", "token <token> is wrong"),
        ("xoxe.xoxb-1-abc", "<token>"),
        ("people write to https://example.jp/workflows", "people write to https://example.jp/workflows"),
    ],
)
def test_what_lets_anybody_write_to_people_is_taken_out(text: str, left: str) -> None:
    assert redact(text) == left
