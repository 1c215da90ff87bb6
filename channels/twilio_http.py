"""The Twilio library's way out, and what comes back that is no success."""

import json
from collections.abc import Mapping
from typing import Any, Final

import aiohttp
from twilio.http import AsyncHttpClient
from twilio.http.response import Response

_ANSWER_BYTES: Final = 1_000_000


class Answered(Exception):
    """Twilio answered, but not with success."""

    def __init__(self, status: int, text: str, headers: Mapping[str, str]) -> None:
        super().__init__(status)
        self.status = status
        self.text = text
        self.headers = headers


class HttpClient(AsyncHttpClient):  # type: ignore[misc]  # the library has no types
    """The Twilio library's way out: kept connections, a time-out, no redirects, no retries, headers kept."""

    def __init__(self, concurrency: int, timeout: float) -> None:
        self.is_async = True
        self.timeout = timeout
        self._concurrency = concurrency
        self._session: aiohttp.ClientSession | None = None

    async def request(
        self,
        method: str,
        url: str,
        params: Mapping[str, str] | None = None,
        data: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # the library calls it by this name
        allow_redirects: bool = False,
    ) -> Any:
        """The answer to one request; raises Answered for one that is not 2xx, aiohttp's errors for none."""
        sent = dict(headers or {})
        if auth is not None:
            sent["Authorization"] = aiohttp.encode_basic_auth(*auth)
        async with self._open().request(
            method, url, params=params, data=data, headers=sent, allow_redirects=False
        ) as response:
            raw = bytearray()
            async for part in response.content.iter_chunked(65_536):
                raw += part
                if len(raw) > _ANSWER_BYTES:
                    raise aiohttp.ClientPayloadError("the answer is too long to be Twilio's")
            text = raw.decode("utf-8", "replace")
            if not 200 <= response.status < 300:
                raise Answered(response.status, text, response.headers)
            return Response(response.status, text, response.headers)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._concurrency, keepalive_timeout=30),
                # A limit of its own for connecting: what never connected need not be looked up afterwards.
                timeout=aiohttp.ClientTimeout(total=self.timeout, sock_connect=self.timeout * 2 / 3),
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


def error_of(text: str) -> tuple[int, str]:
    """Twilio's error code (0 when it gave none) and its words."""
    try:
        document = json.loads(text)
    except ValueError:
        return 0, text[:200]
    if not isinstance(document, dict):
        return 0, text[:200]
    code = document.get("code")
    return (code if isinstance(code, int) else 0), str(document.get("message", ""))
