"""The form for plans, without scripts."""

import pytest

from alertd.service import planning
from tests.web.pages.visitor import Enter, Shown, Site, Visitor


def plans(site: Site) -> dict[str, object]:
    return {plan["name"]: plan["plan"]["steps"] for plan in planning.list_plans(site.rt)}


def filled(visitor: Visitor, *fields: tuple[str, str], step: str = "save") -> Shown:
    first = {"name": "夜間", "rows": "2", "after-0": "0", "channel-0": "email", "after-1": "", **dict(fields)}
    page = visitor.get("/plans/new")
    return visitor.post("/plans/new", ("csrf", page.csrf), ("step", step), *first.items())


def test_an_admin_makes_a_plan_and_is_told_whom_it_misses(site: Site, enter: Enter) -> None:
    admin = enter("admin")
    repeated = (("after-1", "２.5"), ("channel-1", "sms"), ("to-1", "supervisors"), ("every-1", "5"), ("times-1", "3"))
    saved = filled(admin, *repeated)
    assert saved.path.startswith("/plans/plan-")
    assert "The plan is saved." in saved.text
    assert "Whom this plan leads to in vain" in saved.text
    assert "<li>見る人</li>" in saved.text
    assert plans(site)["夜間"] == [
        {"after_seconds": 0, "channels": ["email"], "to": "outstanding"},
        {
            "after_seconds": 150,
            "channels": ["sms"],
            "to": "supervisors",
            "repeat": {"every_seconds": 300, "times": 3},
        },
    ]
    typed = dict(saved.fields(saved.path))
    assert (typed["after-1"], typed["every-1"], typed["times-1"]) == ("2.5", "5", "3")
    changed = admin.submit(saved, saved.path, ("name", "深夜"), ("step", "save"))
    assert "深夜" in plans(site)
    assert "夜間" not in plans(site)
    assert "2.5 min" in admin.get("/plans").text
    assert changed.status == 200


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ((("name", " "),), "Please fill this in."),
        ((("after-0", "5"),), "The first row goes out at once: write 0."),
        ((("after-0", "soon"),), "Write the minutes as a number"),
        ((("after-1", "5"),), "Tick at least one way."),
        ((("after-1", "x"), ("channel-1", "sms")), "Write the minutes as a number"),
        ((("after-1", "5"), ("channel-1", "sms"), ("every-1", "0.5"), ("times-1", "1")), "At least 1 minute."),
        ((("after-1", "5"), ("channel-1", "sms"), ("every-1", "5"), ("times-1", "many")), "Use 1 to 50."),
        ((("to-0", "supervisors"),), "The first row goes to the people themselves."),
    ],
)
def test_what_is_wrong_is_told_at_its_row(
    site: Site, enter: Enter, fields: tuple[tuple[str, str], ...], told: str
) -> None:
    refused = filled(enter("admin"), *fields)
    assert refused.status == 422
    assert told in refused.text
    assert len(plans(site)) == 1


def test_a_plan_without_a_row_is_refused(site: Site, enter: Enter) -> None:
    admin = enter("admin")
    csrf = admin.get("/plans/new").csrf
    refused = admin.post("/plans/new", ("csrf", csrf), ("name", "x"), ("rows", "1"), ("after-0", " "))
    assert refused.status == 422
    assert "Fill in at least one row." in refused.text
    assert len(plans(site)) == 1


def test_rows_come_and_go_without_losing_what_was_typed(site: Site, enter: Enter) -> None:
    admin = enter("admin")
    more = filled(admin, ("after-1", "7"), ("channel-1", "sms"), step="more")
    assert dict(more.fields("/plans/new"))["rows"] == "3"
    less = admin.submit(more, "/plans/new", ("step", "drop-0"))
    typed = dict(less.fields("/plans/new"))
    assert (typed["rows"], typed["after-0"], typed["name"]) == ("2", "7", "夜間")
    assert len(plans(site)) == 1


def test_a_manager_reads_and_changes_nothing(site: Site, enter: Enter) -> None:
    boss = enter("boss")
    shown = boss.get("/plans")
    assert "Standard: every way at once" in shown.text
    assert "New plan" not in shown.text
    plan = boss.get("/plans/default")
    assert "Save the plan" not in plan.text
    assert boss.get("/plans/new").status == 404
    assert boss.get("/plans/none").status == 404
    assert boss.post("/plans/default", ("csrf", plan.csrf), ("name", "x")).status == 403
    assert enter("viewer").get("/plans").status == 403
