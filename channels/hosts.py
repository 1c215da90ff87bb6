"""Whom an address that was handed to us may lead to: nobody may point us at what is inside."""

import asyncio
import ipaddress
import re
import socket
import time
from collections.abc import Sequence
from typing import Any, Final, Self

from yarl import URL

AddressInfo = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]
"""As `socket.getaddrinfo` tells it."""

ANYWHERE: Final = ("*",)
"""Known hosts for where an administrator says where to: every one on the public Internet, and those inside by port."""
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_IPV6_UNICAST: Final = ipaddress.ip_network("2000::/3")  # all of IPv6 that has been given out
_FOUND_SECONDS: Final = 10.0
_FOUND_MOST: Final = 1_000
_HOST: Final = re.compile(r"(?:\*\.)?[a-z0-9_](?:[a-z0-9._-]*[a-z0-9])?")


class BlockedAddress(Exception):
    """A name that leads to an address which is not on the public Internet."""


def is_public(address: str) -> bool:
    """Whether `address` is a unicast address of the public Internet, whatever IPv6 form it is wrapped in."""
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour
        if inner is None and parsed in _NAT64:
            inner = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
        return is_public(str(inner)) if inner is not None else parsed.is_global and parsed in _IPV6_UNICAST
    return parsed.is_global and not (parsed.is_multicast or parsed.is_reserved)


class Hosts:
    """Which hosts may be spoken to: those that are known for a purpose, and what the operator adds."""

    def __init__(self, patterns: frozenset[str], sockets: frozenset[tuple[str, int]]) -> None:
        self._patterns = patterns
        self._sockets = sockets

    @classmethod
    def parse(cls, value: str, known: Sequence[str] = ()) -> Self:
        """From a comma separated list, beside `known`.

        ValueError names the first entry that is not `host`, `*.host` or `host:port`.
        """
        patterns, sockets = set(known), set()
        for entry in filter(None, (part.strip().lower() for part in value.split(","))):
            host, colon, port = entry.rpartition(":")
            if not colon:
                host, port = entry, ""
            bare = host.removeprefix("[").removesuffix("]")
            right = bool(_HOST.fullmatch(host)) if bare == host else is_ip(bare)
            if not right or (colon and not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536)):
                raise ValueError(f"{entry!r} should be a host, *.host or host:port")
            if colon and host.startswith("*"):
                raise ValueError(f"{entry!r}: a port needs one exact host")
            if not colon and known is ANYWHERE:
                raise ValueError(f"{entry!r} should be host:port; public hosts need not be named")
            if colon:
                sockets.add((bare, int(port)))
            else:
                patterns.add(bare)
        return cls(frozenset(patterns), frozenset(sockets))

    def trusts(self, host: str, port: int) -> bool:
        """Whether an operator named exactly this host and port: plain http and any address are fine there."""
        return (host.lower(), port) in self._sockets

    def fault(self, url: URL) -> str | None:
        """What is wrong with the place that `url` leads to, before its name is looked up; None when nothing is."""
        host, port = (url.host or "").lower(), url.port or 0
        if self.trusts(host, port):
            return None
        if url.scheme != "https" or port != 443:
            return "must be https on port 443"
        if host not in self._patterns and not self._has_pattern_for(host):
            return f"{host!r} is not a host that this installation knows"
        # "127.1", "2130706433" and "127.0.0.1." are addresses to the system, and no names that could be looked up.
        if host.replace(".", "").isdigit() and not is_ip(host):
            return f"{host!r} is not a public address"
        if is_ip(host) and not is_public(host):
            return f"{host!r} is not a public address"
        return None

    def _has_pattern_for(self, host: str) -> bool:
        labels = host.split(".")
        wide = {f"*.{'.'.join(labels[depth:])}" for depth in range(1, len(labels))}
        return not wide.isdisjoint(self._patterns) or ANYWHERE[0] in self._patterns


def url_fault(hosts: Hosts, url: str) -> str | None:
    """What is wrong with an address that somebody typed, before its name is looked up; None when nothing is."""
    try:
        parsed = URL(url)
        if not parsed.host or parsed.fragment or parsed.scheme not in ("http", "https"):
            return "must be an https address"
    except ValueError:
        return "must be an https address"
    if parsed.user is not None or parsed.password is not None:
        return "must not carry a user or a password"
    return hosts.fault(parsed)


class GuardedResolver:
    """Looks names up and lets nobody through to an address inside; what it found is good for a few seconds.

    Hundreds of connections open at once, to the same few names.
    """

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts
        self._found: dict[tuple[str, int], tuple[float, asyncio.Task[Sequence[AddressInfo]]]] = {}

    async def resolve(self, host: str, port: int) -> Sequence[AddressInfo]:
        """Where to connect. Raises BlockedAddress, and OSError when the name leads nowhere."""
        asked_at, looking = self._found.get((host, port), (float("-inf"), None))
        if looking is None or time.monotonic() - asked_at > _FOUND_SECONDS or _failed(looking):
            if len(self._found) >= _FOUND_MOST:
                self._found.clear()
            looking = asyncio.create_task(_look_up(host, port))
            self._found[host, port] = time.monotonic(), looking
        # Whoever gives up waiting does not end it for the others.
        found = await asyncio.shield(looking)
        if not self._hosts.trusts(host, port):
            for info in found:
                if not is_public(str(info[4][0])):
                    raise BlockedAddress(f"{host!r} leads to {info[4][0]}, which is not a public address")
        return found

    def close(self) -> None:
        """Wait for no name any more."""
        for _, looking in self._found.values():
            looking.cancel()
        self._found.clear()


async def _look_up(host: str, port: int) -> Sequence[AddressInfo]:
    return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)


def _failed(looking: asyncio.Task[Sequence[AddressInfo]]) -> bool:
    return looking.done() and (looking.cancelled() or looking.exception() is not None)


def is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
