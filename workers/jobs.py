"""RQ's entry points, named in the tickets."""

from collections.abc import Callable

_drain: Callable[[str], int] | None = None


def serve_tickets(drain: Callable[[str], int]) -> None:
    """Let `deliver` call `drain`: RQ finds its jobs by dotted name, so what they work with must stand in a module."""
    global _drain
    _drain = drain


def deliver(channel: str) -> int:
    """A ticket: channel has work due. Returns the number of attempts."""
    if _drain is None:
        raise RuntimeError("tickets are taken by `alertd worker`, not by a bare RQ worker")
    return _drain(channel)
