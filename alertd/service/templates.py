"""Templates: what urgent posts are started from. What comes with the software can be changed, hidden, and had back."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection

from alertd.core.errors import Invalid, NotFound
from alertd.core.ids import given_id_fault
from alertd.core.standard_templates import STANDARD_TEMPLATES
from alertd.core.template import HAZARDS, Template, template_faults
from alertd.service import planning
from alertd.service.directory import name_faults
from alertd.service.runtime import Actor, Runtime
from alertd.store import instance, people, templates

_STANDARD: Final = {template_id: (name, template) for template_id, name, template in STANDARD_TEMPLATES}
STANDARD: Final = {template_id: template for template_id, (_, template) in _STANDARD.items()}
"""What comes with the software, by id."""
_PLACE: Final = {template_id: place for place, template_id in enumerate(_STANDARD)}


def _view(
    template_id: str, name: str, content: Mapping[str, Any], *, hidden: bool = False, kept: bool = False
) -> dict[str, Any]:
    return {
        "id": template_id,
        "name": name,
        **content,
        "hidden": hidden,
        "built_in": template_id in _STANDARD,  # deleting it brings back what came with the software
        "changed": kept and template_id in _STANDARD,
    }


def list_templates(rt: Runtime) -> list[dict[str, Any]]:
    """Every template, hidden ones too: by hazard, what came with the software first."""
    with rt.store.read() as connection:
        kept = {row["id"]: row for row in templates.every(connection)}
    found = [
        _view(template_id, name, template.as_json())
        for template_id, (name, template) in _STANDARD.items()
        if template_id not in kept
    ]
    found += [_view(row["id"], row["name"], row["template"], hidden=row["hidden"], kept=True) for row in kept.values()]
    last = len(_PLACE)
    return sorted(found, key=lambda each: (HAZARDS.index(each["hazard"]), _PLACE.get(each["id"], last), each["id"]))


def get_template(rt: Runtime, template_id: str) -> dict[str, Any]:
    """One template. Raises NotFound."""
    with rt.store.read() as connection:
        row = templates.get(connection, template_id)
    if row is not None:
        return _view(row["id"], row["name"], row["template"], hidden=row["hidden"], kept=True)
    if template_id in _STANDARD:
        name, template = _STANDARD[template_id]
        return _view(template_id, name, template.as_json())
    raise NotFound(f"there is no template {template_id!r}")


def find_template(connection: Connection, template_id: str) -> Template | None:
    """A template as it stands now, hidden or not."""
    row = templates.get(connection, template_id)
    if row is not None:
        return Template.from_json(row["template"])
    return STANDARD.get(template_id)


def all_templates(connection: Connection) -> dict[str, Template]:
    """Every template by id."""
    return STANDARD | {row["id"]: Template.from_json(row["template"]) for row in templates.every(connection)}


def put_template(
    rt: Runtime, actor: Actor, template_id: str, name: str, template: Template, *, hidden: bool = False
) -> tuple[dict[str, Any], bool]:
    """Make or replace a template; it, and whether there was none of that id. Raises Invalid."""
    now = rt.now()
    faults = name_faults(name) + template_faults(template)
    id_fault = given_id_fault(template_id)
    if id_fault:
        faults.append(("id", id_fault))
    with rt.store.write() as connection:
        faults += _reference_faults(connection, rt, template)
        if faults:
            raise Invalid(faults)
        values = {"name": name.strip(), "template": template.as_json(), "hidden": hidden}
        made = templates.put(connection, template_id, values, actor.person_id, now)
        details = {"name": name.strip(), "hidden": hidden}
        instance.record(
            connection, at=now, actor=actor.person_id, action="template.put", object=template_id, details=details
        )
    view = _view(template_id, name.strip(), template.as_json(), hidden=hidden, kept=True)
    return view, made and template_id not in _STANDARD


def _reference_faults(connection: Connection, rt: Runtime, template: Template) -> list[tuple[str, str]]:
    """What a template names that is not there."""
    faults = []
    if planning.resolve(connection, rt, template.plan) is None:
        faults.append(("plan", f"there is no plan {template.plan!r}"))
    if template.audience is not None:
        audience, known = template.audience, people.parents(connection)
        if audience.everyone == bool(audience.groups) or audience.people:
            faults.append(("audience", "must be everyone, or name at least one group"))
        missing = [group for group in audience.groups if group not in known]
        faults += [("audience.groups", f"there is no group {group!r}") for group in missing]
    return faults


def delete_template(rt: Runtime, actor: Actor, template_id: str) -> None:
    """Forget a template; of one that comes with the software, forget what was changed. Raises NotFound."""
    with rt.store.write() as connection:
        if not templates.remove(connection, template_id):
            raise NotFound(f"there is no template {template_id!r} that somebody wrote or changed")
        instance.record(
            connection,
            at=rt.now(),
            actor=actor.person_id,
            action="template.delete",
            object=template_id,
            details={},
        )
