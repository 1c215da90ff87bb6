"""Numbers that change hands: whom a text speaks for, and where a message goes that nobody has sent yet."""

from alertd.core.audience import Audience
from alertd.core.delivery import State
from alertd.service.acknowledging import understand_reply
from alertd.service.directory import address_hash
from alertd.service.runtime import Runtime
from alertd.store import deliveries, people
from alertd.store.deliveries import Claim
from tests.installation import alert, settle

OLD, NEW = "+819011111111", "+819022222222"


def only(*persons: str) -> Audience:
    return Audience(people=persons)


def claimed(rt: Runtime, channel: str = "sms") -> list[Claim]:
    with rt.store.write() as connection:
        return deliveries.claim(connection, channel, "w1", 10, rt.now())


def test_a_text_from_whoever_has_the_number_now_answers_nothing_for_whoever_had_it(rt: Runtime) -> None:
    settle(rt, "before", phone=OLD)
    settle(rt, "before", phone=NEW)
    settle(rt, "after", phone=OLD)
    alert(rt, audience=only("before"))
    assert understand_reply(rt, "sms", address_hash({"phone": OLD}), "1").problem == "nothing-open"
    assert understand_reply(rt, "sms", address_hash({"phone": NEW}), "1").wish is not None


def test_what_nobody_has_sent_yet_goes_to_the_number_as_it_is_now(rt: Runtime) -> None:
    settle(rt, "taro", phone=OLD)
    alert(rt, audience=only("taro"))
    settle(rt, "taro", phone=NEW)
    assert [claim.address["phone"] for claim in claimed(rt)] == [NEW]


def test_a_number_taken_away_before_it_was_used_gets_nothing(rt: Runtime) -> None:
    settle(rt, "taro", phone=OLD)
    alert_id = alert(rt, audience=only("taro"))
    settle(rt, "taro", phone=None)
    assert claimed(rt) == []
    with rt.store.read() as connection:
        states = {row["channel"]: row["state"] for row in deliveries.of_people(connection, alert_id, ["taro"])}
    assert states["sms"] == State.CANCELLED


def test_a_number_that_a_provider_called_dead_is_used_again_once_it_is_given_anew(rt: Runtime) -> None:
    settle(rt, "taro", phone=OLD)
    with rt.store.write() as connection:
        (sms,) = (row for row in people.subscriptions_of(connection, ["taro"]) if row["channel"] == "sms")
        people.retire_subscription(connection, sms["id"], "21610", rt.now())
    settle(rt, "taro", phone=OLD)
    alert(rt, audience=only("taro"))
    assert claimed(rt) == [], "the same record again is no news about the number"
    settle(rt, "taro", phone=None)
    settle(rt, "taro", phone=OLD)
    alert(rt, audience=only("taro"))
    assert [claim.address["phone"] for claim in claimed(rt)] == [OLD]
