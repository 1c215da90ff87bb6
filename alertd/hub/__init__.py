"""This process's live connections. `Hub` is the whole interface; nothing outside knows how it writes."""

from alertd.hub.hub import Connection, Hub

__all__ = ["Connection", "Hub"]
