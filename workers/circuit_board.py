"""Shows a worker's circuits to everybody else, in the store."""

from collections.abc import Mapping, Sequence
from typing import Any

from alertd.service.runtime import Runtime
from alertd.store import circuits


class CircuitBoard:
    """What stands in the store of one worker's circuits; written when it changes, and not for their age alone."""

    def __init__(self, rt: Runtime, worker_id: str) -> None:
        self._rt = rt
        self._worker_id = worker_id
        self._shown: list[Mapping[str, Any]] = []

    def show(self, found: Sequence[Mapping[str, Any]]) -> None:
        """Let these stand there: see `Providers.circuits`. Raises StoreUnavailable."""
        standing = [{key: value for key, value in row.items() if key != "age"} for row in found]
        if standing == self._shown:
            return
        now = self._rt.now()
        rows = [{**row, "since": now - each["age"]} for row, each in zip(standing, found, strict=True)]
        with self._rt.store.write() as connection:
            circuits.replace(connection, self._worker_id, rows)
        self._shown = list(standing)

    def forget(self) -> None:
        """Whoever took this worker for dead has struck them."""
        self._shown = []
