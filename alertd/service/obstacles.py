"""What keeps an alert's messages from going out: our own faults, and providers that do not answer."""

from typing import Any

from alertd.service import views
from alertd.service.runtime import Runtime
from alertd.store import obstacles


def list_obstacles(rt: Runtime, alert_id: str) -> dict[str, list[dict[str, Any]]]:
    """`held`: by `channel` and `reason` the `count` of deliveries that our own fault holds back;
    `stopped`: the providers (`channel`, `provider`, `lane`) that are left alone for a while, since when and why.
    """
    with rt.store.read() as connection:
        held = obstacles.held(connection, alert_id)
        stopped = obstacles.circuits_before(connection, alert_id)
    return {
        "held": [dict(row) for row in held],
        "stopped": [{**row, "since": views.moment(row["since"])} for row in stopped],
    }
