"""What phones and browsers report: displayed, fetched, opened; each once, each from its own proof alone."""

from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import update

from alertd.core.acknowledgement import Way, make_token
from alertd.core.delivery import State
from alertd.core.errors import NotFound
from alertd.service import reaching, watching
from alertd.service.acknowledging import Letter, open_letter
from alertd.service.runtime import Runtime
from alertd.store import deliveries, rollouts, schema
from tests.installation import TOKENS, Bell, Clock, alert, settle


def deliver(rt: Runtime, state: State = State.SENT) -> Mapping[str, Any]:
    """An alert to Taro, whose mail has come to that state."""
    settle(rt, "taro", phone="090-0000-0001")
    number = alert(rt)
    with rt.store.write() as connection:
        mail = (schema.deliveries.c.alert_id == number) & (schema.deliveries.c.channel == "email")
        connection.execute(update(schema.deliveries).where(mail).values(state=state, attempt=1))
    return rows(rt, number)["email"]


def rows(rt: Runtime, alert_id: str) -> dict[str, Mapping[str, Any]]:
    with rt.store.read() as connection:
        found = deliveries.of_people(connection, alert_id, rollouts.told_of(connection, alert_id))
    return {row["channel"]: row for row in found}


def letter(rt: Runtime, row: Mapping[str, Any], way: Way = Way.EMAIL_LINK) -> Letter:
    return open_letter(rt, make_token(row["recipient_id"], way, TOKENS))


class TestDisplayed:
    def beacon(self, row: Mapping[str, Any]) -> str:
        return make_token(row["id"], Way.BEACON, TOKENS)

    @pytest.mark.parametrize("state", [State.SENT, State.SENDING, State.PENDING])
    def test_a_phone_that_shows_a_message_has_it_whatever_became_of_the_attempt(
        self, rt: Runtime, bell: Bell, clock: Clock, state: State
    ) -> None:
        row = deliver(rt, state)
        clock.move(seconds=3)
        reaching.record_display(rt, self.beacon(row))
        after = rows(rt, row["alert_id"])["email"]
        assert (after["state"], after["displayed_at"]) == ("delivered", clock())
        assert (after["delivered_at"], after["opened_at"]) == (None, None)
        assert f"changed:{row['alert_id']}" in bell.rung

    @pytest.mark.parametrize("state", [State.FAILED, State.EXPIRED, State.CANCELLED, State.DELIVERED])
    def test_what_has_ended_stays_as_it_ended(self, rt: Runtime, state: State) -> None:
        row = deliver(rt, state)
        reaching.record_display(rt, self.beacon(row))
        after = rows(rt, row["alert_id"])["email"]
        assert after["state"] == state
        assert after["displayed_at"] is not None

    def test_the_first_time_counts(self, rt: Runtime, clock: Clock) -> None:
        row = deliver(rt)
        reaching.record_display(rt, self.beacon(row))
        first = clock()
        clock.move(seconds=9)
        reaching.record_display(rt, self.beacon(row))
        assert rows(rt, row["alert_id"])["email"]["displayed_at"] == first

    def test_an_answer_s_token_is_no_beacon_and_a_beacon_no_answer_s_token(self, rt: Runtime) -> None:
        row = deliver(rt)
        with pytest.raises(NotFound):
            reaching.record_display(rt, make_token(row["recipient_id"], Way.EMAIL_LINK, TOKENS))
        with pytest.raises(NotFound):
            open_letter(rt, self.beacon(row))
        with pytest.raises(NotFound):
            reaching.record_display(rt, "x" * 32)


class TestOpened:
    def test_it_belongs_to_the_channel_whose_link_it_was(self, rt: Runtime, clock: Clock) -> None:
        row = deliver(rt)
        clock.move(seconds=5)
        reaching.record_open(rt, letter(rt, row))
        after = rows(rt, row["alert_id"])
        assert after["email"]["opened_at"] == clock()
        assert after["sms"]["opened_at"] is None
        assert (after["email"]["state"], after["email"]["displayed_at"]) == ("sent", None)

    def test_a_fetched_link_proves_nothing(self, rt: Runtime) -> None:
        row = deliver(rt)
        reaching.record_fetch(rt, letter(rt, row))
        after = rows(rt, row["alert_id"])["email"]
        assert after["fetched_at"] is not None
        assert (after["opened_at"], after["state"]) == (None, "sent")
        assert watching.summarise(rt, row["alert_id"])["evidence"]["email"]["opened"] == 0

    def test_what_never_went_out_was_not_opened(self, rt: Runtime) -> None:
        row = deliver(rt)
        reaching.record_open(rt, letter(rt, row, Way.SMS_LINK))
        assert rows(rt, row["alert_id"])["sms"]["opened_at"] is None


def test_every_rung_is_told_with_its_time_and_who_vouches_for_it(rt: Runtime) -> None:
    row = deliver(rt)
    with rt.store.write() as connection:
        this = update(schema.deliveries).where(schema.deliveries.c.id == row["id"])
        connection.execute(this.values(accepted_at=rt.now(), provider="secondary"))
    reaching.record_open(rt, letter(rt, row))
    ((person,), _) = watching.list_recipients(rt, row["alert_id"], state=None, after=None, limit=9)
    (mail,) = [each for each in person["deliveries"] if each["channel"] == "email"]
    assert mail["evidence"]["sources"] == {"accepted": "secondary", "opened": "page"}
    assert mail["evidence"]["displayed_at"] is None
