"""Plans are carried out, alerts are updated and called off, and what phones say is told: with real processes."""

from collections import Counter

from tests.acceptance.town import Town, eventually, link_in

TITLE = "河川の水位が上がっています"
STEPS = {
    "steps": [
        {"after_seconds": 0, "channels": ["webpush", "email"]},
        {"after_seconds": 2, "channels": ["sms"]},
        {"after_seconds": 4, "channels": ["email"], "to": "supervisors"},
    ]
}


async def _group(town: Town, group: str, members: list[str], supervisors: list[str]) -> None:
    assert (await town.call("PUT", f"/groups/{group}", {"name": group, "supervisors": supervisors}))[0] == 201
    for person_id in members:
        person = town.people[person_id]
        body = {"name": "職員", "email": person.email, "phone": person.phone, "groups": [group]}
        assert (await town.call("PUT", f"/people/{person_id}", body))[0] == 200


async def test_who_does_not_answer_gets_an_sms_and_then_the_supervisor_is_told(town: Town) -> None:
    await town.inhabit(6, push=0, two_devices=0, phones=6, connected=0)
    everyone = list(town.people)
    await _group(town, "water", everyone[1:], supervisors=["p00"])
    silent, answering = everyone[1:4], everyone[4:]
    status, posted = await town.post(TITLE, plan=STEPS, audience={"people": everyone[1:]})
    assert status == 201, posted
    alert = posted["alert"]["id"]
    for person_id in answering:
        path = f"/alerts/{alert}/acknowledgements"
        assert (await town.call("POST", path, {}, token=town.people[person_id].token))[0] == 200
    boss = town.people["p00"]

    async def told() -> bool:
        return any(letter.recipient == boss.email for letter in town.smtp.letters)

    await eventually(told, 20, "the supervisor is told")
    assert Counter(sms.to for sms in town.twilio.messages) == {town.people[each].phone: 1 for each in silent}
    (letter,) = [letter for letter in town.smtp.letters if letter.recipient == boss.email]
    assert str(letter.message["Subject"]) == f"【部下未回答】{TITLE}"
    assert (await town.get(link_in(letter.text)))[0] == 200
    summary = await town.summary(alert)
    assert (summary["recipients"], summary["acknowledged"], summary["outstanding"]) == (5, 2, 3)
    _, found = await town.call("GET", f"/alerts/{alert}")
    assert [run["deliveries"] for run in found["timetable"]] == [5, 3, 1]


async def test_a_false_alarm_is_called_off_with_exactly_those_who_got_it(town: Town) -> None:
    await town.inhabit(12, push=6, two_devices=0, phones=6, connected=4)
    unlucky = town.people["p00"]
    town.twilio.fail(21211, number=unlucky.phone, times=None)
    town.smtp.answer("rcpt", "550 5.1.1 unknown", recipient="p01@mikan.example", times=None)
    status, posted = await town.post(TITLE)
    assert status == 201
    alert = posted["alert"]["id"]

    async def settled() -> bool:
        counts = (await town.summary(alert))["channels"]
        return all(not states["pending"] and not states["sending"] for states in counts.values())

    await eventually(settled, 20, "everything is settled")
    status, revised = await town.call(
        "POST", f"/alerts/{alert}/revisions", {"kind": "cancel", "title": "誤報でした", "body": "対応は不要です。"}
    )
    assert (status, revised["state"], revised["deliveries"]) == (201, "cancelled", 6 + 5 + 11)
    await eventually(settled, 20, "the cancellation is settled")

    for browser in town.browsers:
        first, second = [message for message in town.push.messages if message.subscription == browser.id]
        assert first.topic == second.topic
        tags = {each.payload["notification"]["tag"] for each in (first, second)}
        assert tags == {alert}, "the notification is not replaced in place"
        assert second.payload["notification"]["title"] in ("【解除】誤報でした", "[CANCELLED] 誤報でした")
    texts = Counter(sms.to for sms in town.twilio.messages)
    assert texts == {person.phone: 2 for person in town.people.values() if person.phone and person is not unlucky}
    letters = Counter(letter.recipient for letter in town.smtp.letters)
    assert letters == {person.email: 2 for person in town.people.values() if person.id != "p01"}
    assert (await town.summary(alert))["outdated"] == 0
    for person in town.people.values():
        if person.socket is not None:
            told = [frame["alert"] for frame in person.frames if frame["type"] == "alert"]
            assert [(each["revision"], each["state"]) for each in told] == [(1, "active"), (2, "cancelled")]


async def test_a_phone_that_shows_a_push_is_told_apart_from_one_that_only_may_have_it(small_town: Town) -> None:
    town = small_town
    await town.inhabit(2, push=2, two_devices=0, phones=0, connected=0)
    _, posted = await town.post(TITLE)
    await town.everyone_has_it(within=20)
    shown = town.push.messages[0].payload["notification"]["data"]["beacon"]
    assert shown.startswith(f"{town.url}/b/")
    assert (await town.form(shown))[0] == 204

    async def told() -> bool:
        summary = await town.summary(posted["alert"]["id"])
        return (summary["channels"]["webpush"]["delivered"], summary["channels"]["webpush"]["sent"]) == (1, 1)

    await eventually(told, 10, "one of two is shown")
    evidence = (await town.summary(posted["alert"]["id"]))["evidence"]["webpush"]
    assert (evidence["accepted"], evidence["displayed"], evidence["opened"]) == (2, 1, 0)
