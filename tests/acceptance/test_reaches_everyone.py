"""An urgent post reaches everyone, and the answers come back."""

import asyncio
import json
from collections import Counter
from typing import Any

from tests.acceptance.town import Person, Town, eventually, link_in

TITLE = "大雨特別警報が発表されました"


async def test_one_urgent_post_reaches_every_device_once_and_five_answers_are_counted(town: Town) -> None:
    await town.inhabit(60, push=20, two_devices=5, phones=30, connected=10)
    status, posted = await town.post(TITLE, key="storm-1")
    assert status == 201, posted
    alert = posted["alert"]
    assert (alert["state"], alert["recipients"]) == ("active", 60)
    await town.everyone_has_it(within=20)
    _everyone_has_it_exactly_once(town)
    await _frames_arrive(town)

    # The same post again sends nothing.
    assert await town.post(TITLE, key="storm-1") == (201, posted)
    await _five_people_answer(town, alert["id"])
    _everyone_has_it_exactly_once(town)
    await _frames_arrive(town)


def _everyone_has_it_exactly_once(town: Town) -> None:
    assert len(town.browsers) == 25
    assert Counter(message.subscription for message in town.push.messages) == {b.id: 1 for b in town.browsers}
    assert {message.payload["notification"]["title"] for message in town.push.messages} == {TITLE}
    assert town.push.rejections == []
    phones = [person.phone for person in town.people.values() if person.phone]
    assert Counter(sms.to for sms in town.twilio.messages) == dict.fromkeys(phones, 1)
    assert all(TITLE in sms.body and sms.body.endswith(link_in(sms.body)) for sms in town.twilio.messages)
    assert Counter(letter.recipient for letter in town.smtp.letters) == {p.email: 1 for p in town.people.values()}
    for letter in town.smtp.letters:
        assert letter.message["Subject"] == TITLE
        assert link_in(letter.text) == link_in(letter.html)


async def _frames_arrive(town: Town) -> None:
    connected = [person for person in town.people.values() if person.socket is not None]
    assert len(connected) == 10

    async def each_has_one() -> bool:
        return all(_alerts(person) for person in connected)

    await eventually(each_has_one, 10, "every connection has a frame")
    for person in connected:
        assert [frame["alert"]["title"] for frame in _alerts(person)] == [TITLE], person.id


def _alerts(person: Person) -> list[dict[str, Any]]:
    return [frame for frame in person.frames if frame["type"] == "alert"]


async def _five_people_answer(town: Town, alert_id: str) -> None:
    people = list(town.people.values())
    by_api, by_socket, by_mail, by_sms, by_push = people[0], people[1], people[2], people[3], people[-1]

    status, body = await town.call("POST", f"/alerts/{alert_id}/acknowledgements", {}, token=by_api.token)
    assert (status, body["way"], body["late"]) == (200, "api", False)

    assert by_socket.socket is not None
    await by_socket.socket.send(json.dumps({"type": "ack", "alert": alert_id, "ref": "r1"}))

    async def confirmed() -> bool:
        return {"type": "acknowledged", "alert": alert_id, "ref": "r1"} in by_socket.frames

    await eventually(confirmed, 5, "the socket's acknowledgement is confirmed")

    letter = next(each for each in town.smtp.letters if each.recipient == by_mail.email)
    status, page = await town.get(link_in(letter.text))
    assert status == 200
    assert TITLE in page
    assert (await town.summary(alert_id))["acknowledged"] == 2, "looking at the page acknowledged"
    status, _ = await town.form(link_in(letter.text))
    assert status == 200

    reply = await _reply(town, by_sms, "１")
    assert TITLE in reply

    message = next(each for each in town.push.messages if each.subscription == by_push.browsers[0].id)
    data = message.payload["notification"]["data"]
    status, _ = await town.form(f"{town.url}/a/{data['token']}")
    assert status == 200

    for web in range(len(town.urls)):
        summary = await town.summary(alert_id, web)
        assert (summary["recipients"], summary["acknowledged"], summary["outstanding"]) == (60, 5, 55)
        assert summary["unreachable"] == 0
        assert summary["channels"]["webpush"]["sent"] == 25
        assert summary["channels"]["sms"]["sent"] == 30
        assert summary["channels"]["email"]["sent"] == 60
    _, page = await town.call("GET", f"/alerts/{alert_id}/recipients?state=acknowledged")
    ways = {item["person"]["id"]: item["acknowledgement"]["way"] for item in page["items"]}
    expected = {by_api.id: "api", by_socket.id: "websocket", by_mail.id: "email-link", by_sms.id: "sms-reply"}
    assert ways == {**expected, by_push.id: "push"}


async def _reply(town: Town, person: Person, text: str) -> str:
    assert person.phone is not None
    reply = await asyncio.to_thread(town.twilio.reply, person.phone, text, f"{town.url}/hooks/twilio/inbound")
    assert reply.status == 200
    return reply.text or ""


async def test_a_drill_says_so_first_on_every_channel(small_town: Town) -> None:
    town = small_town
    await town.inhabit(10, push=10, two_devices=0, phones=10, connected=10)
    status, _ = await town.post("避難所開設", drill=True)
    assert status == 201
    await town.everyone_has_it(within=20)
    await eventually(lambda: _all_told(town), 10, "every connection has a frame")
    marks = ("【訓練】", "[DRILL]")
    texts = [message.payload["notification"]["title"] for message in town.push.messages]
    texts += [sms.body for sms in town.twilio.messages]
    texts += [part for letter in town.smtp.letters for part in (str(letter.message["Subject"]), letter.text)]
    texts += [frame["alert"]["title"] for person in town.people.values() for frame in _alerts(person)]
    assert len(texts) == 50
    assert [text for text in texts if not text.startswith(marks)] == []


async def _all_told(town: Town) -> bool:
    return all(_alerts(person) for person in town.people.values())


async def test_whoever_cannot_be_reached_is_named_with_the_cause(small_town: Town) -> None:
    town = small_town
    await town.inhabit(3, push=1, two_devices=0, phones=1, connected=0)
    town.push.kill(town.people["p02"].browsers[0])
    for number, person in enumerate(town.people.values()):
        body = {"name": "職員", "phone": person.phone, "email": person.email if number == 1 else None}
        assert (await town.call("PUT", f"/people/{person.id}", body))[0] == 200
    town.twilio.fail(21211, number=town.people["p00"].phone, times=None)
    _, posted = await town.post(TITLE)
    alert_id = posted["alert"]["id"]

    async def two() -> bool:
        return bool((await town.summary(alert_id))["unreachable"] == 2)

    await eventually(two, 10, "two people are unreachable")
    _, page = await town.call("GET", f"/alerts/{alert_id}/recipients?state=unreachable")
    causes = {item["person"]["id"]: item["cause"] for item in page["items"]}
    assert causes.keys() == {"p00", "p02"}
    assert "21211" in causes["p00"]
    assert "410" in causes["p02"]
