"""HTTP to others: where sources are asked and webhooks lead, no other hosts, no redirects, everything within bounds."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from alertd.sources.base import MESSAGE_MAX, Answer, Unfetched
from channels.hosts import BlockedAddress, GuardedResolver, Hosts

_SECONDS: Final = 20.0  # for one answer, whole
_CONNECT_SECONDS: Final = 8.0
_PIECE: Final = 65_536
_PER_HOST: Final = 4  # connections at once: nobody's server is to suffer from us


class _Guard(AbstractResolver):
    def __init__(self, hosts: Hosts) -> None:
        self._guarded = GuardedResolver(hosts)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._guarded.resolve(host, port)
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=info_family,
                proto=protocol,
                flags=socket.AI_NUMERICHOST,
            )
            for info_family, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        self._guarded.close()


class HttpFetch:
    """Asks with connections that are kept. Built in the loop that it is used in. `per_host` 0: as many as need be."""

    def __init__(self, hosts: Hosts, agent: str, per_host: int = _PER_HOST) -> None:
        self._hosts = hosts
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=_Guard(hosts), limit_per_host=per_host),
            timeout=aiohttp.ClientTimeout(total=_SECONDS, sock_connect=_CONNECT_SECONDS),
            headers={"User-Agent": agent},
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def close(self) -> None:
        await self._session.close()

    async def __call__(
        self,
        url: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        most: int = MESSAGE_MAX,
        accepted: Collection[int] = (200,),
    ) -> Answer:
        async with self._asked(method, url, headers, body) as (answer, where):
            if answer.status not in accepted:
                raise Unfetched(f"{where} answered {_told(answer)}")
            return Answer(
                answer.status,
                {name.lower(): value for name, value in answer.headers.items()},
                await _whole(answer, most, where),
            )

    async def tell(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
        """POST something; the status that it is answered with, and that in words. What else the answer says is not
        read. Raises Unfetched.
        """
        async with self._asked("POST", url, headers, body) as (answer, where):
            return answer.status, f"{where} answered {_told(answer)}"

    @asynccontextmanager
    async def _asked(
        self, method: str, url: str, headers: Mapping[str, str] | None, body: bytes | None
    ) -> AsyncIterator[tuple[aiohttp.ClientResponse, str]]:
        """The head of an answer, and whose it is. Raises Unfetched, also for what goes wrong while it is read."""
        try:
            target = URL(url)
        except ValueError:
            raise Unfetched(f"{url[:200]!r} is no address") from None
        where = f"{target.scheme}://{target.authority}"
        fault = self._hosts.fault(target)
        if fault is not None:
            raise Unfetched(f"{where}: {fault}")
        try:
            async with self._session.request(
                method, target, headers=dict(headers or {}), data=body, allow_redirects=False
            ) as answer:
                yield answer, where
        except BlockedAddress as error:
            raise Unfetched(str(error)) from None
        except TimeoutError:
            raise Unfetched(f"{where} did not answer within {_SECONDS:.0f} s") from None
        except (aiohttp.ClientError, OSError, ssl.SSLError, asyncio.IncompleteReadError) as error:
            raise Unfetched(f"{where} cannot be reached: {_why(error)}") from None


async def _whole(answer: aiohttp.ClientResponse, most: int, where: str) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in answer.content.iter_chunked(_PIECE):
        size += len(part)
        if size > most:
            raise Unfetched(f"{where} answered with more than {most} bytes")
        parts.append(part)
    return b"".join(parts)


def _why(error: Exception) -> str:
    """What was wrong, without what the address says already."""
    cause = getattr(error, "os_error", None) or error
    return getattr(cause, "strerror", None) or str(cause) or type(error).__name__


def _told(answer: Any) -> str:
    if 300 <= answer.status < 400 and "Location" in answer.headers:
        return f"{answer.status}, and sends us elsewhere, to {answer.headers['Location'][:200]}: that is not followed"
    return f"{answer.status} {answer.reason or ''}".strip()
