"""Everybody: the list with its search, one person, and the form that makes or changes them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from alertd.core.alert import LANGUAGES
from alertd.core.errors import Conflict, Invalid
from alertd.core.roles import Role
from alertd.service import directory, roster
from alertd.service.directory import PersonDraft
from alertd.service.roster import TEXT_MAX, Search
from alertd.service.runtime import Actor, Runtime
from alertd.web.context import in_thread
from alertd.web.pages.forms import Form, read_own_form
from alertd.web.pages.trees import in_tree_order
from alertd.web.templating import Page, signed_in
from alertd.web.translations import marked

PAGE_SIZE: Final = 50
_ACTIVE: Final = {"yes": True, "no": False}
_SAVED: Final = {
    "saved": marked("Saved."),
    "made": marked("Added. Next, give them a way to sign in: see below."),
    "off": marked("Deactivated: they get no more alerts and cannot sign in."),
    "on": marked("Active again: they get alerts from now on."),
}
_SECRET_WISHES: Final[dict[str, str | None]] = {"": None, "-": "", "－": "", "ー": ""}  # what is no address
_TRIES: Final = 5  # somebody else's change of something that is not in the form


@dataclass(frozen=True, slots=True)
class Fields:
    """A person as they stand in the form."""

    name: str = ""
    email: str = ""
    phone: str = ""
    language: str = "ja"
    role: str = "staff"
    groups: tuple[str, ...] = ()
    addresses: Mapping[str, str] = field(default_factory=dict)  # by name; a secret one is only ever written, not shown

    @classmethod
    def read(cls, rt: Runtime, form: Form, prefix: str = "") -> "Fields":
        texts = {name: form.one(prefix + name) for name in ("name", "email", "phone")}
        return cls(
            **texts,
            language=form.one(f"{prefix}language", "ja"),
            role=form.one(f"{prefix}role", "staff"),
            groups=tuple(sorted(set(form.all(f"{prefix}group")))),
            addresses={name: form.one(prefix + name).strip() for name in directory.other_addresses(rt)},
        )

    @classmethod
    def of(cls, rt: Runtime, person: dict[str, Any]) -> "Fields":
        texts = {name: person[name] or "" for name in ("name", "email", "phone", "language", "role")}
        told = person.get("addresses", {})
        addresses = {name: told.get(name) or "" for name in directory.other_addresses(rt)}
        return cls(**texts, groups=tuple(sorted(person["groups"])), addresses=addresses)

    def differing(self, other: "Fields") -> list[str]:
        mine, theirs = self._by_name(), other._by_name()
        return [name for name in mine if mine[name] != theirs.get(name)]

    def taking_over(self, other: "Fields", names: Collection[str]) -> "Fields":
        """The same, with these fields as `other` has them."""
        own = {name: getattr(other, name) for name in names if name not in self.addresses}
        return replace(self, **own, addresses={**self.addresses, **_only(other.addresses, names)})

    def _by_name(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "addresses"}
        return {**own, **self.addresses}

    def draft(self, rt: Runtime, person_id: str, *, active: bool, with_role: bool) -> PersonDraft:
        # An empty field takes an address away, but for a secret one, which is never filled in: there a stroke does.
        written = {
            name: _SECRET_WISHES.get(text, text) if name in rt.secrets else text
            for name, text in self.addresses.items()
        }
        return PersonDraft(
            id=person_id,
            name=self.name,
            email=self.email.strip() or None,
            phone=self.phone.strip() or None,
            language=self.language,
            groups=self.groups,
            active=active,
            role=self.role if with_role else None,
            addresses=written,
        )


def _only(addresses: Mapping[str, str], names: Collection[str]) -> dict[str, str]:
    return {name: text for name, text in addresses.items() if name in names}


async def show_people(request: Request) -> Response:
    page, _ = await signed_in(request, Role.MANAGER)
    rt, query = page.web.rt, request.query_params
    asked = {name: query.get(name, "") for name in ("q", "group", "active", "lacks")}
    asked["q"] = asked["q"][:TEXT_MAX]
    lacks = roster.LACKS.get(asked["lacks"])
    search = Search(asked["q"], asked["group"] or None, _ACTIVE.get(asked["active"]), lacks)
    after = query.get("after")
    found = await in_thread(lambda: roster.find_people(rt, search, after=after, limit=PAGE_SIZE))
    count, groups = await in_thread(lambda: (roster.count_people(rt, search), directory.list_groups(rt)))
    kept = {name: value for name, value in asked.items() if value}
    return page.respond(
        "roster.html",
        asked=asked,
        found=found,
        count=count,
        groups=in_tree_order(groups),
        group_names={group["id"]: group["name"] for group in groups},
        is_search=bool(kept),
        after=after,
        first="/people" + (f"?{urlencode(kept)}" if kept else ""),
        following="?" + urlencode({**kept, "after": found.following}) if found.following else None,
    )


async def show_new(request: Request) -> Response:
    page, _ = await signed_in(request, Role.MANAGER)
    empty = Fields(addresses=dict.fromkeys(directory.other_addresses(page.web.rt), ""))
    return await _form_page(page, "roster_new.html", empty, {}, person_id="")


async def take_new(request: Request) -> Response:
    page, actor = await signed_in(request, Role.MANAGER)
    form = await read_own_form(request, actor)
    person_id, fields = form.one("id").strip(), Fields.read(page.web.rt, form)
    draft = fields.draft(page.web.rt, person_id, active=True, with_role=actor.may(Role.ADMIN))
    try:
        await in_thread(lambda: directory.put_person(page.web.rt, actor, draft, on_version=0))
    except Conflict:
        faults = {"id": page.say("There is somebody with this ID already.")}
        return await _form_page(page, "roster_new.html", fields, faults, 409, person_id=person_id)
    except Invalid as refused:
        faults = _faults(page, refused)
        return await _form_page(page, "roster_new.html", fields, faults, 422, person_id=person_id)
    return RedirectResponse(f"{_path(person_id)}?done=made", 303)


async def show_person(request: Request) -> Response:
    page, actor = await signed_in(request, Role.MANAGER)
    person = await _read(page, request)
    return await _person_page(page, actor, person, Fields.of(page.web.rt, person))


async def take_person(request: Request) -> Response:
    """Save the form. What somebody else has saved meanwhile is shown beside it, and nothing is lost."""
    page, actor = await signed_in(request, Role.MANAGER)
    form = await read_own_form(request, actor)
    rt = page.web.rt
    mine, base = Fields.read(rt, form), Fields.read(rt, form, "was-")
    if not actor.may(Role.ADMIN):
        mine = replace(mine, role=base.role)
    for _ in range(_TRIES):
        person = await _read(page, request)
        directory.guard_rank(actor, person)
        theirs = Fields.of(rt, person)
        if theirs != base and mine != theirs:
            return await _clash_page(page, actor, person, mine, base)
        draft = mine.draft(rt, person["id"], active=person["active"], with_role=mine.role != theirs.role)
        try:
            await in_thread(partial(directory.put_person, rt, actor, draft, on_version=person["version"]))
        except Conflict:
            continue
        except Invalid as refused:
            return await _person_page(page, actor, person, mine, faults=_faults(page, refused))
        return RedirectResponse(f"{_path(person['id'])}?done=saved", 303)
    raise Conflict(f"{str(request.path_params['person'])!r} was changed meanwhile")


async def take_active(request: Request) -> Response:
    page, actor = await signed_in(request, Role.MANAGER)
    form = await read_own_form(request, actor)
    person_id, active = str(request.path_params["person"]), form.one("active") == "yes"
    try:
        await in_thread(lambda: directory.set_active(page.web.rt, actor, person_id, active))
    except Invalid as refused:
        person = await _read(page, request)
        return await _person_page(page, actor, person, Fields.of(page.web.rt, person), faults=_faults(page, refused))
    return RedirectResponse(f"{_path(person_id)}?done={'on' if active else 'off'}", 303)


async def _clash_page(page: Page, actor: Actor, person: dict[str, Any], mine: Fields, base: Fields) -> Response:
    """Both versions: what only one of the two has changed is filled in as changed, of the rest the one who looks."""
    theirs = Fields.of(page.web.rt, person)
    changed = base.differing(theirs)
    both = [name for name in changed if name in base.differing(mine) and name in mine.differing(theirs)]
    merged = mine.taking_over(theirs, [name for name in changed if name not in both])
    return await _person_page(page, actor, person, merged, clash={"changed": changed, "both": both, "theirs": theirs})


async def _read(page: Page, request: Request) -> dict[str, Any]:
    person_id = str(request.path_params["person"])
    return await in_thread(lambda: roster.read_person(page.web.rt, person_id))


async def _person_page(
    page: Page,
    actor: Actor,
    person: dict[str, Any],
    fields: Fields,
    *,
    faults: dict[str, str] | None = None,
    clash: dict[str, Any] | None = None,
) -> Response:
    done = _SAVED.get(page.request.query_params.get("done", ""))
    return await _form_page(
        page,
        "roster_person.html",
        fields,
        faults or {},
        409 if clash else 422 if faults else 200,
        person=person,
        was=Fields.of(page.web.rt, person),
        kept_secrets=[name for name, told in person.get("addresses", {}).items() if told is None],
        clash=clash,
        may_change=Role.parse(person["role"]) <= actor.role,
        is_self=person["id"] == actor.person_id,
        done=page.say(done) if done and not faults else None,
    )


async def _form_page(
    page: Page,
    template: str,
    fields: Fields,
    faults: dict[str, str],
    status: int = 200,
    /,
    kept_secrets: Collection[str] = (),
    **more: Any,
) -> Response:
    groups = await in_thread(lambda: directory.list_groups(page.web.rt))
    return page.respond(
        template,
        status,
        fields=fields,
        faults=faults,
        groups=in_tree_order(groups),
        group_names={group["id"]: group["name"] for group in groups},
        languages=LANGUAGES,
        roles=[role.word for role in Role],
        secrets=page.web.rt.secrets,
        kept_secrets=kept_secrets,
        **more,
    )


def _faults(page: Page, refused: Invalid) -> dict[str, str]:
    """The first thing that is wrong with each field."""
    return {name: page.fault(message) for name, message in reversed(refused.details)}


def _path(person_id: str) -> str:
    return f"/people/{quote(person_id)}"
