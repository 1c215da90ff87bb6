"""One's own settings."""

import pytest

from alertd.core.roles import Role
from alertd.service import access, directory
from tests.web.pages.visitor import Enter, Site

PATH = "/me/settings/quiet-hours"


def own(site: Site) -> dict[str, object]:
    return directory.own_settings(site.rt, access.system_actor("tanaka", Role.STAFF))


@pytest.mark.parametrize(
    ("start", "end"), [("22:00", "06:30"), ("２２：００", "06:30"), (" 22:00", "6:30")]
)  # fmt: skip
def test_quiet_hours_are_kept(site: Site, enter: Enter, start: str, end: str) -> None:
    visitor = enter("tanaka")
    shown = visitor.get("/me/settings")
    assert "Extreme and severe alerts come anyway" in shown.text
    after = visitor.submit(shown, PATH, ("from", start), ("to", end), ("step", "save"))
    assert "Your quiet hours are saved." in after.text
    assert own(site)["quiet_hours"] == {"from": "22:00", "to": "06:30"}
    assert dict(after.fields(PATH))["from"] == "22:00"
    visitor.submit(after, PATH, ("step", "none"))
    assert own(site)["quiet_hours"] is None


@pytest.mark.parametrize(
    ("start", "end", "told"),
    [
        ("22:00", "", "Write a time like 22:00."),
        ("25:00", "06:00", "Write a time like 22:00."),
        ("22:00", "22:00", "The two times must differ."),
    ],
)
def test_what_is_no_time_is_refused_and_stays(site: Site, enter: Enter, start: str, end: str, told: str) -> None:
    visitor = enter("tanaka")
    refused = visitor.submit(visitor.get("/me/settings"), PATH, ("from", start), ("to", end), ("step", "save"))
    assert refused.status == 422
    assert told in refused.text
    assert dict(refused.fields(PATH))["from"] == start
    assert own(site)["quiet_hours"] is None


def test_one_takes_part_in_the_daily_test_and_stops(site: Site, enter: Enter) -> None:
    visitor, path = enter("tanaka"), "/me/settings/self-test"
    shown = visitor.get("/me/settings")
    assert "You do not take part." in shown.text
    after = visitor.submit(shown, path, ("takes", "yes"))
    assert "You take part." in after.text
    assert own(site)["takes_self_test"] is True
    visitor.submit(after, path, ("takes", "no"))
    assert own(site)["takes_self_test"] is False
