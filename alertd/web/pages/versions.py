"""What an alert has said before, for whoever reads it now."""

from collections.abc import Mapping
from typing import Any

from alertd.service import watching
from alertd.service.runtime import Runtime


def earlier_of(rt: Runtime, alert: Mapping[str, Any], mine: Mapping[str, Any] | None) -> tuple[list[Any], bool]:
    """The versions of `alert` before this one, oldest first, and whether it has been asked anew since the answer
    `mine` (which then no longer counts).
    """
    if alert["revision"] == 1:
        return [], False
    said = watching.read_course(rt, alert["id"])["revisions"]
    asked = max(each["revision"] for each in said if each["asks_again"])
    asked_again = mine is not None and mine["revision"] < asked and alert["state"] == "active"
    return said[:-1], asked_again
