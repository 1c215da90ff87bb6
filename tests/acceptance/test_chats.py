"""Staff who are reached over Slack or Microsoft Teams alone: the alert, its update, the answer by the link."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.town import Town, eventually
from tests.providers import SlackServer, TeamsServer

MEMBER = "U012AB3CD"
TITLE = "川が氾濫します"


@pytest.fixture
async def chatting(data_dir: Path) -> AsyncIterator[tuple[Town, SlackServer, TeamsServer, str]]:
    """A town with hana, whom only Slack reaches, and taro, whom only Teams does; and taro's webhook."""
    with SlackServer(members={MEMBER}) as slack, TeamsServer() as teams:
        async with Town(data_dir) as town:
            town.settings = {
                f"ALERTD_{name}": value for name, value in {**slack.settings(), **teams.settings()}.items()
            }
            await town.run()
            await town.ready(channels=5)
            webhook = teams.make_webhook()
            for name, addresses in (("hana", {"slack": MEMBER.lower()}), ("taro", {"teams": webhook})):
                status, person = await town.call("PUT", f"/people/{name}", {"name": name, "addresses": addresses})
                assert status == 201, person
            yield town, slack, teams, webhook


async def post(town: Town) -> str:
    status, posted = await town.post(TITLE, audience={"people": ["hana", "taro"]})
    assert status == 201, posted
    return str(posted["alert"]["id"])


async def states(town: Town, alert: str) -> dict[str, dict[str, int]]:
    """The states that deliveries are in, by channel."""
    channels = (await town.summary(alert))["channels"]
    return {channel: {state: n for state, n in counts.items() if n} for channel, counts in channels.items()}


async def ways(town: Town, alert: str) -> dict[str, str | None]:
    """How each person has answered."""
    _, page = await town.call("GET", f"/alerts/{alert}/recipients")
    answers: dict[str, Any] = {each["person"]["id"]: each["acknowledgement"] for each in page["items"]}
    return {person: answer["first"]["way"] if answer else None for person, answer in answers.items()}


async def test_slack_and_teams_carry_an_alert_its_update_and_the_way_to_answer(
    chatting: tuple[Town, SlackServer, TeamsServer, str],
) -> None:
    town, slack, teams, webhook = chatting
    alert = await post(town)
    await eventually(lambda: arrived(slack, teams, 1), 20, town.log())
    [said], [card] = slack.messages, teams.cards
    assert said.words[0] == card.words[0] == TITLE
    assert (said.channel, card.workflow) == (MEMBER, webhook.split("/")[4])

    async def handed_over() -> bool:
        # Taken over, and no word of whether anybody has it.
        return await states(town, alert) == {
            **{"webpush": {}, "sms": {}, "email": {}, "slack": {"sent": 1}, "teams": {"sent": 1}}
        }

    await eventually(handed_over, 10, "both are told as handed over")
    status, told = await town.call(
        "POST", f"/alerts/{alert}/revisions", {"kind": "update", "title": "水が引きました", "body": "戻れます"}
    )
    assert status in (200, 201), told
    await eventually(lambda: arrived(slack, teams, 2), 20, town.log())
    assert slack.messages[1].words[0] == teams.cards[1].words[0] == "【更新】水が引きました"

    status, page = await town.get(slack.messages[1].link)
    assert status == 200
    assert "水が引きました" in page
    assert await ways(town, alert) == {"hana": None, "taro": None}  # looking is not answering
    assert (await town.form(slack.messages[1].link))[0] == 200
    assert (await town.form(teams.cards[0].link))[0] == 200
    assert await ways(town, alert) == {"hana": "slack-link", "taro": "teams-link"}


async def test_a_webhook_is_a_secret(chatting: tuple[Town, SlackServer, TeamsServer, str]) -> None:
    town, _, teams, webhook = chatting
    teams.answer(401, f'{{"error":{{"message":"{webhook}"}}}}')
    alert = await post(town)
    await eventually(lambda: held(town, alert), 20, town.log())
    _, people = await town.call("GET", "/people")
    assert [each["addresses"] for each in people["items"] if each["id"] in ("hana", "taro")] == [
        *({"slack": MEMBER}, {"teams": None})
    ]
    _, recipients = await town.call("GET", f"/alerts/{alert}/recipients")
    _, printed, faults = await town.command("doctor", "--json")
    signature, workflow = webhook.split("sig=")[1], webhook.split("/")[4]
    for told in (str(people), str(recipients), printed, faults, town.log()):
        assert signature not in told
        assert workflow not in told


async def test_whom_slack_reaches_is_not_forgotten_when_slack_is_no_longer_set_up(
    chatting: tuple[Town, SlackServer, TeamsServer, str],
) -> None:
    town, slack, _, _ = chatting
    town.processes[0].stop()
    town.settings = {name: value for name, value in town.settings.items() if "TEAMS" in name}
    town.start("serve", "--port", str(town.ports[0]))
    await town.ready(channels=5)
    alert = await post(town)

    async def told() -> bool:
        return (await states(town, alert))["slack"] == {"held": 1}

    await eventually(told, 20, "what Slack was to carry is held, and says why")
    _, printed, _ = await town.command("doctor", "--json")
    assert "ALERTD_SLACK_TOKEN is not set" in printed
    assert slack.messages == []


async def test_without_them_there_is_no_word_of_them(small_town: Town) -> None:
    town = small_town
    assert len(town.processes[0].children("workers worker")) == 3
    status, refused = await town.call("PUT", "/people/hana", {"name": "hana", "addresses": {"slack": MEMBER}})
    assert (status, refused["error"]["details"][0]["field"]) == (422, "slack")
    _, person = await town.call("PUT", "/people/hana", {"name": "hana", "email": "hana@mikan.example"})
    _, posted = await town.post(TITLE, audience={"people": ["hana"]})
    summary = await town.summary(posted["alert"]["id"])
    _, plans = await town.call("GET", "/plans")
    _, printed, _ = await town.command("doctor", "--json")
    for told in (person, summary, plans, printed, (await town.get(f"{town.url}/metrics"))[1]):
        assert "slack" not in str(told).lower()
        assert "teams" not in str(told).lower()
    status, _, error = await town.command("worker", "--channel", "slack")
    assert status == 1
    assert "slack is not set up here" in error


async def arrived(slack: SlackServer, teams: TeamsServer, count: int) -> bool:
    return len(slack.messages) >= count and len(teams.cards) >= count


async def held(town: Town, alert: str) -> bool:
    return (await states(town, alert))["teams"] == {"held": 1}
