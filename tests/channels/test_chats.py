"""Slack and Microsoft Teams: what they are sent, which addresses they take, what is said of them."""

import json
import logging
from collections.abc import Callable
from datetime import timedelta

import pytest

from alertd.core.delivery import Accepted, Deferred, Gone, Misconfigured, Refused
from alertd.core.errors import AddressError
from channels.base import Channel, SettingFaults
from channels.slack import Slack, as_blocks
from channels.teams import HOSTS, Teams, as_card
from tests.channels.helpers import CONTEXT, DELIVERY, LINK, MEMBER, MESSAGE, in_an_hour, message, slack_of, teams_of
from tests.providers import SlackServer, TeamsServer
from tests.providers.teams import PAYLOAD_MAX

Closing = Callable[[Channel], None]
WARNING = "このリンクはあなた専用です。転送しないでください。"


async def test_slack_shows_the_title_the_text_and_one_button(slack: SlackServer, closing: Closing) -> None:
    channel = slack_of(slack.settings())
    closing(channel)
    said = message(text="みどり市\n<!channel> A & B > C *太字* <https://evil.example|こちら>")
    outcome = await channel.send({"slack": MEMBER}, said, key=DELIVERY, expires_at=in_an_hour())
    [taken] = slack.messages
    assert outcome == Accepted(taken.ts)
    assert (taken.channel, taken.link) == (MEMBER, LINK)
    assert taken.words == ["【訓練】避難所を開設しました", said.text]
    assert "<!channel>" not in json.dumps(taken.document)
    assert taken.text.startswith("【訓練】避難所を開設しました\nみどり市\n&lt;!channel&gt;")
    [button] = [each for block in taken.blocks if block["type"] == "actions" for each in block["elements"]]
    assert button["text"]["text"] == "開いて回答する"
    assert taken.blocks[-1]["elements"][0]["text"] == WARNING


async def test_whoever_is_asked_nothing_is_not_told_to_answer(
    slack: SlackServer, teams: TeamsServer, closing: Closing
) -> None:
    over = message(buttons=(), language="en", drill=False, title="[CANCELLED] Shelter open")
    for channel, address in (
        (slack_of(slack.settings()), {"slack": MEMBER}),
        (teams_of(teams.settings()), {"teams": teams.make_webhook()}),
    ):
        closing(channel)
        assert isinstance(await channel.send(address, over, key=DELIVERY, expires_at=in_an_hour()), Accepted)
    assert slack.messages[0].blocks[-2]["elements"][0]["text"]["text"] == "Open"
    assert teams.cards[0].content["actions"][0]["title"] == "Open"


@pytest.mark.parametrize("char", ["あ", "&", "<", "x", "\n", "\\", '"', "𝄞"])
async def test_the_longest_texts_keep_to_the_limits(
    slack: SlackServer, teams: TeamsServer, closing: Closing, char: str
) -> None:
    size = slack_of(slack.settings()).budget.size
    long = message(title=f"【訓練】{char * 113}", text=f"x{char * ((size - 400) // len(char.encode()))}y")
    for channel, address in (
        (slack_of(slack.settings()), {"slack": MEMBER}),
        (teams_of(teams.settings()), {"teams": teams.make_webhook()}),
    ):
        closing(channel)
        assert isinstance(await channel.send(address, long, key=DELIVERY, expires_at=in_an_hour()), Accepted)
    # Slack's and Teams' own limits were checked there; nothing was left out on the way to them.
    assert "".join(slack.messages[0].words) == long.title + long.text
    assert "".join(teams.cards[0].words[:-1]).replace(" ", "") == (long.title + long.text.replace("\n", ""))
    assert teams.cards[0].size <= PAYLOAD_MAX


async def test_a_card_of_many_lines_stays_below_the_limit(teams: TeamsServer, closing: Closing) -> None:
    channel = teams_of(teams.settings())
    closing(channel)
    many = message(text="\n".join(["あ"] * 700))
    address = {"teams": teams.make_webhook()}
    assert isinstance(await channel.send(address, many, key=DELIVERY, expires_at=in_an_hour()), Accepted)
    assert "".join(teams.cards[0].words).count("あ") == 700 + WARNING.count("あ")


async def test_teams_shows_the_title_the_text_and_one_button(teams: TeamsServer, closing: Closing) -> None:
    channel = teams_of(teams.settings())
    closing(channel)
    outcome = await channel.send(
        {"teams": teams.make_webhook()}, message(text="みどり市\n[こちら](https://evil.example)"), key=DELIVERY,
        expires_at=in_an_hour(),
    )  # fmt: skip
    assert outcome == Accepted("0858")
    [card] = teams.cards
    assert card.words == ["【訓練】避難所を開設しました", "みどり市", "[こちら](https://evil.example)", WARNING]
    assert card.link == LINK
    assert {block["type"] for block in card.content["body"]} == {"RichTextBlock"}  # a TextBlock would make a link of it
    assert card.content["lang"] == "ja"


async def test_how_long_to_wait_is_theirs_to_say(slack: SlackServer, teams: TeamsServer, closing: Closing) -> None:
    posts, cards = slack_of(slack.settings()), teams_of(teams.settings())
    closing(posts)
    closing(cards)
    slack.fail("ratelimited", retry_after="30")
    teams.answer(429, "slow down", retry_after="7")
    told = await posts.send({"slack": MEMBER}, MESSAGE, key=DELIVERY, expires_at=in_an_hour())
    assert told == Deferred("429 ratelimited", timedelta(seconds=30))
    told = await cards.send({"teams": teams.make_webhook()}, MESSAGE, key=DELIVERY, expires_at=in_an_hour())
    assert told == Deferred("429 TooManyRequests", timedelta(seconds=7))


async def test_a_member_who_is_not_there_and_a_wrong_token(slack: SlackServer, closing: Closing) -> None:
    slack.members = {MEMBER}
    channel, stranger = slack_of(slack.settings()), slack_of({**slack.settings(), "SLACK_TOKEN": "xoxb-another"})
    closing(channel)
    closing(stranger)
    gone = await channel.send({"slack": "U999ZZ9ZZ"}, MESSAGE, key=DELIVERY, expires_at=in_an_hour())
    assert gone == Gone("channel_not_found")
    ours = await stranger.send({"slack": MEMBER}, MESSAGE, key=DELIVERY, expires_at=in_an_hour())
    assert ours == Misconfigured("invalid_auth")
    assert slack.messages == []


async def test_that_our_token_died_gives_up_nobody_s_address(slack: SlackServer, closing: Closing) -> None:
    channel = slack_of(slack.settings())
    closing(channel)
    slack.fail("account_inactive")
    outcome = await channel.send({"slack": MEMBER}, MESSAGE, key=DELIVERY, expires_at=in_an_hour())
    assert outcome == Misconfigured("account_inactive")
    slack.fail("not_in_channel")
    outcome = await channel.send({"slack": MEMBER}, MESSAGE, key=DELIVERY, expires_at=in_an_hour())
    assert outcome == Misconfigured("not_in_channel", of_recipient=True)


@pytest.mark.parametrize("given", ["U012AB3CD", " u012ab3cd ", "Ｕ０１２ＡＢ３ＣＤ", "W012A3CDE"])
def test_member_ids_are_taken_as_people_write_them(slack: SlackServer, given: str) -> None:
    address = slack_of(slack.settings()).parse_address({"slack": given})
    assert address["slack"] in {"U012AB3CD", "W012A3CDE"}


@pytest.mark.parametrize("given", ["", "@taro", "C012AB3CD", "U12", "taro@example.jp", "U012AB3CD/../x"])
def test_what_is_no_member_id(slack: SlackServer, given: str) -> None:
    with pytest.raises(AddressError):
        slack_of(slack.settings()).parse_address({"slack": given})


@pytest.mark.parametrize(
    "url",
    [
        "https://prod-12.japaneast.logic.azure.com:443/workflows/0a/triggers/manual/paths/invoke?sig=x",
        "https://default0a.1b.environment.api.powerplatform.com/powerautomate/automations/direct/workflows/0a?sig=x",
        "https://midori.webhook.office.com/webhookb2/0a@0b/IncomingWebhook/0c/0d",
    ],
)
def test_webhooks_that_teams_gives_out(url: str) -> None:
    channel = teams_of({"TEAMS": "on"})
    assert channel.parse_address({"teams": f" {url}\n"}) == {"teams": url}
    assert channel.lane({"teams": url}).endswith(tuple(host.removeprefix("*") for host in HOSTS))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "teams",
        "http://prod-12.japaneast.logic.azure.com/workflows/0a",
        "https://prod-12.japaneast.logic.azure.com:8443/workflows/0a",
        "https://logic.azure.com.evil.example/workflows/0a",
        "https://evil.example/workflows/0a",
        "https://user:pass@midori.webhook.office.com/x",
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "https://169.254.169.254/latest/meta-data",
        "https://midori.webhook.office.com/x#y",
        "https://midori.webhook.office.com/x\r\nHost: evil.example",
    ],
)
def test_nobody_points_us_at_anything_else(url: str) -> None:
    with pytest.raises(AddressError):
        teams_of({"TEAMS": "on"}).parse_address({"teams": url})


async def test_a_name_that_leads_inside_is_not_called(closing: Closing) -> None:
    channel = teams_of({"TEAMS": "on", "TEAMS_HOSTS": "localhost"})
    closing(channel)
    address = channel.parse_address({"teams": "https://localhost/workflows/x"})
    outcome = await channel.send(address, MESSAGE, key=DELIVERY, expires_at=in_an_hour())
    assert isinstance(outcome, Refused)
    assert "not a public address" in outcome.reason


async def test_a_host_that_is_no_longer_allowed_is_not_called(teams: TeamsServer, closing: Closing) -> None:
    channel = teams_of({"TEAMS": "on"})
    closing(channel)
    address = {"teams": teams.make_webhook()}
    assert channel.lane(address) == "127.0.0.1"
    outcome = await channel.send(address, MESSAGE, key=DELIVERY, expires_at=in_an_hour())
    assert isinstance(outcome, Refused)
    assert teams.requests == 0


async def test_a_webhook_stands_in_no_reason_and_no_log(
    teams: TeamsServer, closing: Closing, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    channel = teams_of(teams.settings())
    closing(channel)
    good, gone = teams.make_webhook(), teams.make_webhook()
    forged = f"{good}X"
    teams.remove(gone)
    reasons = []
    for webhook in (forged, gone):
        outcome = await channel.send({"teams": webhook}, MESSAGE, key=DELIVERY, expires_at=in_an_hour())
        assert isinstance(outcome, Misconfigured | Gone)
        reasons.append(outcome.reason)
    assert reasons[0].startswith("401 ")
    assert reasons[1].startswith("404 ")
    teams.stop_listening()
    outcome = await channel.send({"teams": good}, MESSAGE, key=DELIVERY, expires_at=in_an_hour())
    assert isinstance(outcome, Deferred)
    secrets = {part for webhook in (good, gone, forged) for part in (webhook.split("sig=")[1], webhook.split("/")[4])}
    for said in (*reasons, outcome.reason, caplog.text):
        assert not any(secret in said for secret in secrets), said


@pytest.mark.parametrize(
    ("values", "faults"),
    [
        ({"SLACK_TOKEN": "secret"}, ["SLACK_TOKEN"]),
        ({"SLACK_TOKEN": "xoxb-1\r\nX: y"}, ["SLACK_TOKEN"]),
        ({"SLACK_API_URL": "http://slack.example/api"}, ["SLACK_API_URL"]),
        (
            {"SLACK_TOKEN": "xoxb-1", "SLACK_PER_SECOND": "0", "SLACK_API_URL": "x"},
            ["SLACK_API_URL", "SLACK_PER_SECOND"],
        ),
    ],
)
def test_what_is_wrong_with_slack_s_settings(values: dict[str, str], faults: list[str]) -> None:
    with pytest.raises(SettingFaults) as caught:
        Slack.configure(values, CONTEXT)
    assert [name for name, _ in caught.value.faults] == faults


def test_what_is_wrong_with_teams_settings() -> None:
    with pytest.raises(SettingFaults) as caught:
        Teams.configure({"TEAMS": "yes", "TEAMS_HOSTS": "https://x", "TEAMS_PER_SECOND": "x"}, CONTEXT)
    assert [name for name, _ in caught.value.faults] == ["TEAMS", "TEAMS_HOSTS", "TEAMS_PER_SECOND"]


async def test_slack_is_asked_beforehand_without_a_message(slack: SlackServer, closing: Closing) -> None:
    channel = slack_of(slack.settings())
    closing(channel)
    assert await channel.check() == []
    slack.scopes = "users:read"
    [fault] = await channel.check()
    assert "chat:write" in fault.en
    slack.scopes = "chat:write"
    slack.fail("token_revoked")
    slack.answer(200, "<html>")
    slack.answer(502, "<html>")
    for words in ("token_revoked", "not Slack's API", "not Slack's API"):
        [fault] = await channel.check()
        assert words in fault.en
        assert slack.token not in fault.en + fault.ja
    slack.stop_listening()
    [fault] = await channel.check()
    assert "cannot be reached" in fault.en
    assert slack.messages == []


def test_a_title_that_grows_too_long_for_a_header_is_shown_whole() -> None:
    title = f"【訓練】{'&' * 40}"
    [head, *_] = as_blocks(message(title=title))["blocks"]
    assert head["type"] == "section"
    assert head["text"]["text"].endswith("&amp;" * 40)


def test_a_card_says_what_it_is() -> None:
    document = json.loads(as_card(MESSAGE))
    assert document["type"] == "message"
    assert document["attachments"][0]["content"]["fallbackText"] == MESSAGE.title
