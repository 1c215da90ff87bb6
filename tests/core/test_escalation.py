"""Which plans can be carried out."""

import pytest

from alertd.core.escalation import Plan, Step, default_plan, plan_faults

CHANNELS = ("webpush", "sms", "email")
SMS = ("sms",)


def test_the_default_plan_is_every_channel_at_once_to_everybody() -> None:
    plan = default_plan(CHANNELS)
    assert plan.as_json() == {"steps": [{"after_seconds": 0, "channels": list(CHANNELS), "to": "outstanding"}]}
    assert plan_faults(plan, CHANNELS) == []


@pytest.mark.parametrize(
    ("steps", "fields"),
    [
        ([], ["plan.steps"]),
        ([Step(0, ())], ["plan.steps.0.channels"]),
        ([Step(0, ("pigeon", "sms", "fax"))], ["plan.steps.0.channels", "plan.steps.0.channels"]),
        ([Step(1, SMS)], ["plan.steps.0.after_seconds"]),
        ([Step(0, SMS, "supervisors")], ["plan.steps.0.to"]),
        ([Step(0, SMS), Step(0, SMS)], ["plan.steps.1.after_seconds"]),
        ([Step(0, ()), Step(120, ("pigeon",), "supervisors")],
         ["plan.steps.0.channels", "plan.steps.1.channels", "plan.steps.1.after_seconds"]),
    ],
)  # fmt: skip
def test_a_plan_that_cannot_be_carried_out_is_refused_with_every_reason(steps: list[Step], fields: list[str]) -> None:
    assert [field for field, _ in plan_faults(Plan(tuple(steps)), CHANNELS)] == fields


def test_an_unknown_channel_is_told_which_there_are() -> None:
    ((_, message),) = plan_faults(Plan((Step(0, ("pigeon",)),)), CHANNELS)
    assert "'pigeon'" in message
    assert "webpush, sms, email" in message
