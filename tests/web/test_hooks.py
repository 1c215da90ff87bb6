"""What Twilio tells us: receipts and replies, signed on the public URL, whatever our own looks like."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from typing import Any

import pytest

from alertd.core.acknowledgement import reply_code
from alertd.core.delivery import State, Transition
from alertd.service import watching
from alertd.store import alerts, deliveries, settlements
from tests.installation import TOKENS, Clock
from tests.providers import TwilioServer
from tests.providers.twilio import AUTH_TOKEN, signature
from tests.web.server import Answer, Site, Town

PUBLIC = "https://alert.example.jp"
PHONE = "+819012345678"
ASK = {"question": "無事ですか", "choices": [{"id": "safe", "label": "無事"}, {"id": "hurt", "label": "けが"}]}
_SIDS = count(1_000)
STATUS, INBOUND = "/hooks/twilio/status", "/hooks/twilio/inbound"


@pytest.fixture
def twilio() -> Iterator[TwilioServer]:
    with TwilioServer() as server:
        yield server


@pytest.fixture
async def phones(open_site: Callable[..., Site], twilio: TwilioServer) -> AsyncIterator[Town]:
    """A town behind a proxy, whose `taro` has a phone."""
    async with Town(open_site(public_url=PUBLIC, settings=twilio.settings())) as town:
        town.move_in("taro", phone="090-1234-5678", email=None)
        yield town


async def told(town: Town, path: str, *, signed_for: str | None = None, token: str = AUTH_TOKEN, **form: str) -> Answer:
    """What Twilio is answered when it posts this form."""
    signed = signature(token, signed_for or PUBLIC + path, list(form.items()))
    return await town.raw("POST", path, data=form, headers={"X-Twilio-Signature": signed})


async def texted(town: Town, text: str, sender: str = PHONE, *, sid: str | None = None) -> str:
    answer = await told(town, INBOUND, From=sender, To="+15005550006", Body=text, MessageSid=sid or f"SM{next(_SIDS)}")
    assert answer.status == 200, answer
    assert answer.headers["content-type"].startswith("text/xml")
    return answer.raw.decode()


def answers(town: Town, alert: str) -> list[tuple[str | None, str]]:
    """(answer, way) of taro, who is the only one who texts."""
    items, _ = watching.list_recipients(town.rt, alert, state="acknowledged", after=None, limit=10)
    return [(item["acknowledgement"]["answer"], item["acknowledgement"]["way"]) for item in items]


def code_of(town: Town, alert: str, person: str = "taro") -> str:
    with town.rt.store.read() as connection:
        number = alerts.recipient_of(connection, alert, person)
    assert number is not None
    return reply_code(number, TOKENS)


class TestSignature:
    @pytest.mark.parametrize("path", [STATUS, INBOUND])
    @pytest.mark.parametrize(
        "wrong",
        [{"token": "another"}, {"signed_for": "http://127.0.0.1/hooks/twilio/status"}, {"signed_for": PUBLIC + "/x"}],
        ids=str,
    )
    async def test_a_bad_one_is_forbidden_however_often_it_comes(
        self, phones: Town, path: str, wrong: dict[str, Any]
    ) -> None:
        form = {"From": PHONE, "Body": "1", "MessageSid": "SM1", "MessageStatus": "delivered"}
        times = 70 if "token" in wrong else 1  # more than bad tokens are allowed in a minute
        for answer in await asyncio.gather(*(told(phones, path, **wrong, **form) for _ in range(times))):
            assert (answer.status, answer.error["code"]) == (403, "forbidden")
        assert (await told(phones, path, **form)).status in (200, 204)

    @pytest.mark.parametrize("path", [STATUS, INBOUND])
    async def test_a_missing_one_is_forbidden_and_a_changed_form_too(self, phones: Town, path: str) -> None:
        alert = await phones.alert()
        form = {"From": PHONE, "Body": "1", "MessageSid": "SM1"}
        assert (await phones.raw("POST", path, data=form)).status == 403
        signed = signature(AUTH_TOKEN, PUBLIC + path, list(form.items()))
        changed = {**form, "From": "+819000000000"}
        headers = {"X-Twilio-Signature": signed}
        assert (await phones.raw("POST", path, data=changed, headers=headers)).status == 403
        assert answers(phones, alert) == []

    async def test_the_query_is_part_of_what_is_signed(self, phones: Town) -> None:
        answer = await told(phones, f"{STATUS}?x=1", MessageSid="SM1", MessageStatus="sent")
        assert answer.status == 204
        answer = await told(phones, f"{STATUS}?x=1", signed_for=PUBLIC + STATUS, MessageSid="SM1", MessageStatus="sent")
        assert answer.status == 403

    @pytest.mark.parametrize("path", [STATUS, INBOUND])
    @pytest.mark.parametrize("data", [b"a=%ff", b"\xff\xfe", b"a=1&" * 2_000, b"\0"])
    async def test_a_form_that_is_none_is_refused_and_breaks_nothing(
        self, phones: Town, path: str, data: bytes
    ) -> None:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await phones.raw("POST", path, data=data, headers=headers)
        assert answer.status in (400, 403)
        assert answer.error["code"]
        assert (await phones.raw("POST", path, data=b"{}", headers={"Content-Type": "text/json"})).status == 415
        assert (await phones.raw("POST", path, data=b"x" * 1_000_001, headers=headers)).status == 413
        assert (await phones.raw("GET", path)).status == 405

    async def test_a_second_account_signs_too_and_each_with_its_own_token(
        self, open_site: Callable[..., Site], twilio: TwilioServer
    ) -> None:
        with TwilioServer(account_sid=f"AC{'2' * 32}", auth_token="second") as other:
            second = {f"SECOND_{name}": value for name, value in other.settings().items()}
            async with Town(open_site(public_url=PUBLIC, settings={**twilio.settings(), **second})) as town:
                town.move_in("taro", phone="090-1234-5678", email=None)
                for path, status in ((STATUS, 204), (INBOUND, 200)):
                    for token, expected in ((AUTH_TOKEN, status), ("second", status), ("third", 403), ("", 403)):
                        form = {"From": PHONE, "Body": "1", "MessageSid": f"SM{next(_SIDS)}", "MessageStatus": "sent"}
                        assert (await told(town, path, token=token, **form)).status == expected
                alert = await town.alert(ask=ASK)
                form = {"From": PHONE, "Body": "2", "MessageSid": f"SM{next(_SIDS)}"}
                assert "けが" in (await told(town, INBOUND, token="second", **form)).raw.decode()
                assert answers(town, alert) == [("hurt", "sms-reply")]

    async def test_a_second_account_s_token_is_nothing_where_there_is_none(self, phones: Town) -> None:
        answer = await told(phones, STATUS, token="second", MessageSid="SM1", MessageStatus="sent")
        assert answer.status == 403

    async def test_where_no_sms_is_set_up_there_is_nothing_to_tell(self, town: Town) -> None:
        answer = await told(town, STATUS, MessageSid="SM1", MessageStatus="sent")
        assert (answer.status, answer.error["code"]) == (404, "not_found")


class TestReceipts:
    async def sent(self, town: Town) -> str:
        """An alert whose SMS Twilio took as SM1."""
        alert = await town.alert()
        with town.rt.store.write() as connection:
            (claim,) = deliveries.claim(connection, "sms", "w1", 10, town.rt.now())
            sent = Transition(State.SENT, provider_id="SM1")
            settlements.settle(connection, [settlements.Settlement(claim, "accepted", sent)], town.rt.now())
        return alert

    @pytest.mark.parametrize(
        ("statuses", "state"),
        [
            (["queued", "sent"], "sent"),
            (["sent", "delivered"], "delivered"),
            (["delivered", "sent", "delivered"], "delivered"),
            (["undelivered"], "failed"),
            (["delivered", "failed"], "delivered"),
        ],
    )
    async def test_they_move_the_delivery_forward(self, phones: Town, statuses: list[str], state: str) -> None:
        alert = await self.sent(phones)
        for status in statuses:
            answer = await told(phones, STATUS, MessageSid="SM1", MessageStatus=status)
            assert answer.status == 204
        counts = watching.summarise(phones.rt, alert)["channels"]["sms"]
        assert [name for name, count in counts.items() if count] == [state]

    async def test_of_a_message_that_is_not_known_yet_they_are_taken_all_the_same(self, phones: Town) -> None:
        assert (await told(phones, STATUS, MessageSid="SM1", MessageStatus="delivered")).status == 204
        alert = await self.sent(phones)
        assert (await told(phones, STATUS, MessageSid="SM9", MessageStatus="sent")).status == 204
        assert watching.summarise(phones.rt, alert)["channels"]["sms"]["delivered"] == 1


class TestReplies:
    @pytest.mark.parametrize("text", ["1", "１", " 1 ", "OK", "確認"])
    async def test_a_plain_reply_acknowledges(self, phones: Town, text: str) -> None:
        alert = await phones.alert(title="津波", drill=True)
        assert "<Message>【訓練】津波\n回答を受け付けました。" in await texted(phones, text)
        assert answers(phones, alert) == [(None, "sms-reply")]

    async def test_a_number_answers_the_question_and_a_later_one_changes_it(self, phones: Town, clock: Clock) -> None:
        alert = await phones.alert(ask=ASK)
        assert "「けが」" in await texted(phones, "２")
        assert answers(phones, alert) == [("hurt", "sms-reply")]
        clock.move(minutes=1)
        await texted(phones, "1")
        assert answers(phones, alert) == [("safe", "sms-reply")]

    async def test_what_is_not_clear_is_asked_back_and_keeps_nothing(self, phones: Town) -> None:
        alert = await phones.alert(title="津波", ask=ASK)
        asked = await texted(phones, "たぶん")
        assert "番号だけを返信してください" in asked
        assert "1 = 無事" in asked
        assert "2 = けが" in asked
        assert answers(phones, alert) == []

    async def test_where_several_are_open_it_says_how_to_name_one_and_does_not_guess(self, phones: Town) -> None:
        first, second = await phones.alert(title="津波"), await phones.alert(title="火事", ask=ASK)
        asked = await texted(phones, "1")
        assert answers(phones, first) == answers(phones, second) == []
        assert f"1 {code_of(phones, first)} = 確認" in asked
        assert f"2 {code_of(phones, second)} = けが" in asked
        await texted(phones, f"2 {code_of(phones, second)}")
        assert (answers(phones, first), answers(phones, second)) == ([], [("hurt", "sms-reply")])

    async def test_two_who_share_a_phone_are_told_apart(self, phones: Town) -> None:
        phones.move_in("hanako", phone="090-1234-5678")
        alert = await phones.alert()
        assert "hanako さん" in await texted(phones, "1")
        assert answers(phones, alert) == []
        await texted(phones, f"1 {code_of(phones, alert, 'hanako')}")
        items, _ = watching.list_recipients(phones.rt, alert, state="acknowledged", after=None, limit=10)
        assert [item["person"]["id"] for item in items] == ["hanako"]

    async def test_a_stranger_or_somebody_with_nothing_open_is_told_so(self, phones: Town, clock: Clock) -> None:
        assert "回答できる通知はありません" in await texted(phones, "1")
        await phones.alert()
        assert "回答できる通知はありません" in await texted(phones, "1", "+819099999999")
        clock.move(hours=25)
        assert "回答できる通知はありません" in await texted(phones, "1")

    async def test_it_speaks_the_sender_s_language_and_escapes_what_people_wrote(self, phones: Town) -> None:
        phones.move_in("anna", phone="080-1111-2222", language="en")
        await phones.alert(title="<Fire> & {smoke}", audience={"people": ["anna"]})
        reply = await texted(phones, "1", "+818011112222")
        assert "&lt;Fire&gt; &amp; {smoke}\nYour answer was received." in reply

    @pytest.mark.parametrize("text", ["", "\0", "1" * 5_000, "👍", "１\u202e"])
    async def test_no_text_breaks_it(self, phones: Town, text: str) -> None:
        await phones.alert()
        assert "<Response>" in await texted(phones, text)


async def test_a_reply_that_comes_again_is_answered_alike_and_does_nothing(phones: Town) -> None:
    first = await phones.alert()
    said = await texted(phones, "1", sid="SM7")
    assert answers(phones, first) != []
    second = await phones.alert()
    assert await texted(phones, "1", sid="SM7") == said
    assert answers(phones, second) == []
    await texted(phones, "1", sid="SM8")
    assert answers(phones, second) != []
