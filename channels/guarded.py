"""Posts to addresses that people hand us: only to hosts that an operator knows, and to nothing that is inside."""

import re
from collections.abc import Callable, Mapping
from typing import Final

from yarl import URL

from alertd.core.delivery import Deferred, Gone, Refused
from alertd.core.errors import AddressError
from channels.base import one_line
from channels.hosts import BlockedAddress, GuardedResolver, Hosts
from channels.push_http import Answer, NotSent, Origin, PushHttp, Unanswered

URL_MAX: Final = 2_048
_ORIGINS_KEPT: Final = 1_000
_URL: Final = re.compile(r"(https?://(?:(?![/?#\\])[!-~])+)((?:(?!\\)[!-~])*)")


class Places:
    """Where URLs that people hand us lead to. `field` is what such a URL is called in an address."""

    def __init__(self, hosts: Hosts, field: str) -> None:
        self._hosts = hosts
        self._field = field
        self._origins: dict[str, Origin] = {}  # by how URLs begin

    def find(self, text: str) -> tuple[Origin, str]:
        """The service that a URL leads to, and the request's target there. Raises AddressError."""
        if not text:
            raise AddressError(self._field, "is missing")
        if len(text) > URL_MAX:
            raise AddressError(self._field, f"is longer than {URL_MAX} characters")
        # It goes onto the wire as it is: nothing in it may end the request line.
        found = _URL.fullmatch(text)
        if not found:
            raise AddressError(self._field, "is not an absolute URL")
        start, target = found.groups()
        if "#" in target:
            raise AddressError(self._field, "must not hold a fragment")
        if start not in self._origins:
            if len(self._origins) >= _ORIGINS_KEPT:
                self._origins.clear()
            self._origins[start] = self._origin(start)
        return self._origins[start], target if target.startswith("/") else f"/{target}"

    def _origin(self, start: str) -> Origin:
        try:
            url = URL(start, encoded=True)
            named = url.raw_user or url.raw_password
        except ValueError:
            raise AddressError(self._field, "is not an absolute URL") from None
        fault = "must not hold a user name" if named else self._hosts.fault(url)
        if fault:
            raise AddressError(self._field, fault)
        return Origin.of(url)


class GuardedHttp:
    """One POST at a time to such a place, over kept connections; `timeout` is in seconds for all of it."""

    def __init__(self, hosts: Hosts, timeout: float) -> None:
        self._hosts = hosts
        self._timeout = timeout
        self._http: PushHttp | None = None

    async def post(
        self, origin: Origin, target: str, make: Callable[[], tuple[Mapping[str, str], bytes]]
    ) -> Answer | Deferred | Gone | Refused:
        """The answer, or what it means that there is none. `make` says the header and the body; what it raises comes
        through."""
        if self._http is None:
            self._http = PushHttp(GuardedResolver(self._hosts), self._timeout)
        try:
            return await self._http.post(origin, target, make)
        except BlockedAddress as error:
            return Refused(f"endpoint: {error}")
        except TimeoutError:
            return Deferred(f"no answer within {self._timeout:g} s", dark=True)
        except UnicodeError as error:
            return Gone(one_line(f"the endpoint cannot be called: {error}"))
        except (NotSent, Unanswered) as error:
            return Deferred(one_line(str(error)), dark=isinstance(error, Unanswered))

    def close(self) -> None:
        """Give back kept connections."""
        if self._http is not None:
            self._http.close()
            self._http = None
