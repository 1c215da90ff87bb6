"""Quiet hours over the API: said with the person, kept when they are not mentioned."""

import pytest

from tests.web.server import Town

QUIET = {"from": "22:00", "to": "06:00"}


async def put(town: Town, **fields: object) -> object:
    answer = await town.call("manager", "PUT", "/people/sleeper", {"name": "眠る人", **fields})
    assert answer.status in (200, 201), answer
    kept = await town.call("manager", "GET", "/people")
    (person,) = [each for each in kept.body["items"] if each["id"] == "sleeper"]
    assert person == answer.body
    return person["quiet_hours"]


async def test_quiet_hours_are_kept_until_they_are_taken_away(town: Town) -> None:
    assert await put(town) is None
    assert await put(town, quiet_hours=QUIET) == QUIET
    assert await put(town) == QUIET
    assert await put(town, quiet_hours=None) is None


@pytest.mark.parametrize(
    "quiet",
    [
        {"from": "22:00", "to": "22:00"},
        {"from": "24:00", "to": "06:00"},
        {"from": "9:00", "to": "10:00"},
        {"from": "22:00", "to": "noon"},
    ],
)
async def test_what_are_no_two_times_is_refused(standing_town: Town, quiet: dict[str, str]) -> None:
    body = {"name": "眠る人", "quiet_hours": quiet}
    refused = await standing_town.call("manager", "PUT", "/people/sleeper", body)
    assert refused.status == 422
    assert refused.fields == ["quiet_hours.from"]


async def test_a_time_that_is_missing_is_named(standing_town: Town) -> None:
    body = {"name": "眠る人", "quiet_hours": {"from": "22:00"}}
    refused = await standing_town.call("manager", "PUT", "/people/sleeper", body)
    assert (refused.status, refused.fields) == (422, ["quiet_hours.to"])
