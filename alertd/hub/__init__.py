"""This process's live connections. `Hub` tells them, `Connection` is one; nothing outside knows how it writes.

The server is given `HttpProtocol` and `Handshake` in place of uvicorn's own; the application finds `EXTENSION` in
`scope["extensions"]` and hands an accepted socket over with it.
"""

from alertd.hub.connection import Connection
from alertd.hub.handover import EXTENSION, Handshake, HttpProtocol
from alertd.hub.hub import Hub

__all__ = ["EXTENSION", "Connection", "Handshake", "HttpProtocol", "Hub"]
