"""This process's live connections. `Hub` tells them, `Connection` is one; nothing outside knows how it writes.

The server is given `HttpProtocol` in place of uvicorn's own; the application finds a `Handshake` as `EXTENSION` in
`scope["extensions"]`, and hands the socket over with it or turns the client away.
"""

from alertd.hub.connection import Connection
from alertd.hub.handover import EXTENSION, Handshake, HttpProtocol
from alertd.hub.hub import Hub

__all__ = ["EXTENSION", "Connection", "Handshake", "HttpProtocol", "Hub"]
