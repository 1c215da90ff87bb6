"""What the pictures of the guides and the README show, each as somebody would bring it onto their screen."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from playwright.sync_api import Page, expect

from tests.browser.conftest import DESKTOP, PHONE

Size = dict[str, int]
_TALL: Final = {**DESKTOP, "height": 1000}


@dataclass(frozen=True)
class Place:
    """A running town: where it is, one of its open alerts that asks something, and the personal link of somebody who
    has not answered it.
    """

    url: str
    alert: str
    letter: str
    language: Literal["ja", "en"]

    def at(self, path: str) -> str:
        """The address of a page in the language of the pictures."""
        return f"{self.url}{path}{'&' if '?' in path else '?'}lang={self.language}"


@dataclass(frozen=True)
class Scene:
    """One picture: who sees it (None: whoever holds the link), on what screen, and how it gets there."""

    name: str
    who: Literal["admin", "staff"] | None
    size: Size
    show: Callable[[Page, Place], object]


def show_template(page: Page, place: Place) -> None:
    page.goto(place.at(f"/posts/new?kind=real&template=quake-{place.language}"))
    for field in page.locator("[data-fill]").all():
        example = page.locator(f"#{(field.get_attribute('aria-describedby') or '').split()[-1]}").inner_text()
        field.fill(re.split(r"[:：] ?", example, maxsplit=1)[1])
    page.locator("input[name=audience][value=everyone]").check()
    expect(page.locator(".writing-preview > details")).to_have_attribute("open", "")
    expect(page.locator("[data-shown] .look").first).to_be_visible()
    page.evaluate("scrollTo(0, 0)")


def show_check(page: Page, place: Place) -> None:
    show_template(page, place)
    page.locator("button.to-check").click()
    page.locator(".last-look").wait_for()


def show_live(page: Page, place: Place) -> None:
    page.goto(place.at(f"/alerts/{place.alert}"))
    page.locator("[data-line][data-state=live]").wait_for()


def show_outstanding(page: Page, place: Place) -> None:
    show_live(page, place)
    page.locator("#unreachable").evaluate("(section) => section.scrollIntoView()")


def show_ladder(page: Page, place: Place) -> None:
    show_live(page, place)
    page.locator("section:has(.ladder)").evaluate("(section) => section.scrollIntoView()")


def show_wall(page: Page, place: Place) -> None:
    page.goto(place.at(f"/alerts/{place.alert}/wall"))
    page.locator("[data-line][data-state=live]").wait_for()


def show_letter(page: Page, place: Place) -> None:
    page.goto(f"{place.letter}?lang={place.language}")


def show_offline(page: Page, place: Place) -> None:
    show_letter(page, place)
    page.context.set_offline(True)
    page.locator("form[data-answer] button.big").first.click()
    expect(page.locator("[data-status].wait")).to_be_visible()
    page.locator("form[data-answer]").evaluate("(form) => form.scrollIntoView({ block: 'center' })")


def show_answered(page: Page, place: Place) -> None:
    show_letter(page, place)
    if not page.locator(".kept").count():
        page.locator("form[data-answer] button.big").first.click()
    expect(page.locator(".kept")).to_be_visible()
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")


def show_import(page: Page, place: Place) -> None:
    page.goto(place.at("/people/import"))
    rows = "id,name,email,phone,language,groups,active\nhara,原 さつき,hara@mikan.example,,ja,,true\n"
    page.locator("#file").set_input_files({"name": "staff.csv", "mimeType": "text/csv", "buffer": rows.encode("cp932")})
    page.locator("button[value=send]").click()
    page.wait_for_load_state()
    expect(page.locator("main")).to_contain_text("hara@mikan.example")


def show_invitations(page: Page, place: Place) -> None:
    page.goto(place.at("/people"))
    person = page.locator(".person-name small").nth(1).inner_text()
    page.goto(place.at("/people/invitations"))
    page.locator("#people").fill(person)
    page.locator("button[value=send]").click()
    page.locator(".sheet .qr svg").wait_for()


_RULE: Final = """[[rule]]
name = "{name}"
source = "{source}"
do = "draft"
audience = {{ everyone = true }}

[rule.when]
at_least = {{ level = "4" }}
"""
_RIVER: Final = {
    "ja": ("氾濫危険水位", "肱川の水位が氾濫危険水位を超えました", "流域の避難所を開設してください。", "西予市"),
    "en": ("Flood level", "The Hiji River is above its danger level", "Open the shelters along the river.", "Seiyo"),
}


def _make_source(page: Page, place: Place, name: str, kind: str) -> str:
    """A source that is made by its form, and is there when its page shows; its secret."""
    page.goto(place.at("/sources"))
    page.locator("#id").fill(name)
    page.locator("#kind").select_option(kind)
    page.locator("form[action='/sources'] button.big").click()
    return page.locator(".kept .secret").inner_text()


def show_source(page: Page, place: Place) -> None:
    _make_source(page, place, f"keijiban-{place.language}", "garoon")
    page.goto(place.at(f"/sources/keijiban-{place.language}"))
    for field, value in (("url", "https://mikan.cybozu.com/g"), ("login", "alertd"), ("categories", "5")):
        page.locator(f"[name=access-{field}]").fill(value)


def show_waiting(page: Page, place: Place) -> None:
    name, title, body, area = _RIVER[place.language]
    source = f"river-{place.language}"
    secret = _make_source(page, place, source, "program")
    page.goto(place.at("/rules"))
    page.locator("#text").fill(_RULE.format(name=name, source=source))
    page.locator("button[value=save]").first.click()
    page.wait_for_load_state()
    told = {
        "id": "1",
        "standing": "actual",
        "title": title,
        "body": body,
        "scale": "level",
        "observed_at": datetime.now(UTC).isoformat(),
        "areas": [{"code": "3821400", "name": area, "rank": 4}],
    }
    answer = page.request.post(
        f"{place.url}/api/v1/sources/{source}", data=told, headers={"Authorization": f"Bearer {secret}"}
    )
    assert answer.ok, answer.text()
    page.goto(place.at("/sources"))
    expect(page.locator(".observation").first).to_be_visible()


def show_path(path: str) -> Callable[[Page, Place], object]:
    return lambda page, place: page.goto(place.at(path))


def show_page_of_alert(path: str) -> Callable[[Page, Place], object]:
    return lambda page, place: page.goto(place.at(f"/alerts/{place.alert}/{path}"))


# In this order: what is answered is answered for those that follow.
SCENES: Final = (
    Scene("doors", "admin", {**DESKTOP, "height": 620}, show_path("/posts/new")),
    Scene("template", "admin", _TALL, show_template),
    Scene("check", "admin", _TALL, show_check),
    Scene("live", "admin", _TALL, show_live),
    Scene("outstanding", "admin", DESKTOP, show_outstanding),
    Scene("ladder", "admin", _TALL, show_ladder),
    Scene("wall", "admin", {"width": 1920, "height": 1080}, show_wall),
    Scene("call-off", "admin", {**PHONE, "height": 1240}, show_page_of_alert("call-off")),
    Scene("report", "admin", _TALL, show_page_of_alert("report")),
    Scene("doctor", "admin", DESKTOP, show_path("/doctor")),
    Scene("people", "admin", DESKTOP, show_path("/people")),
    Scene("import", "admin", DESKTOP, show_import),
    Scene("invitations", "admin", {**DESKTOP, "height": 1100}, show_invitations),
    Scene("reachability", "admin", DESKTOP, show_path("/people/reachability")),
    Scene("source", "admin", {**DESKTOP, "height": 1000}, show_source),
    Scene("waiting", "admin", {**PHONE, "height": 1100}, show_waiting),
    Scene("replay", "admin", {**DESKTOP, "height": 1500}, show_path("/rules/replay")),
    Scene("first-contact", "staff", {**PHONE, "height": 1240}, show_path("/me/setup")),
    Scene("alert", None, PHONE, show_letter),
    Scene("offline", None, PHONE, show_offline),
    Scene("answered", None, PHONE, show_answered),
)
