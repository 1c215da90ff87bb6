"""What the routes of one web process share; it stands in `app.state.web`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlsplit

from anyio import to_thread
from starlette.requests import HTTPConnection

from alertd.hub import Hub
from alertd.service.acknowledging import Acknowledged, Acknowledging
from alertd.service.checkup import Patient
from alertd.service.group_commit import GroupCommit
from alertd.service.measuring import Measured
from alertd.service.runtime import Runtime
from alertd.web.limits import Limits
from channels.base import Channel

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Web:
    """One web process: the installation, its sockets, its channels, its limits."""

    rt: Runtime
    hub: Hub
    channels: Mapping[str, Channel]
    limits: Limits
    acknowledgements: GroupCommit[Acknowledging, Acknowledged]
    session_secret: bytes
    vapid_public_key: str
    vapid_key_id: str
    patient: Patient  # what the doctor looks at
    seconds: Mapping[str, Channel] = field(default_factory=dict)  # of second providers
    number: int = 1  # which it is of the web processes on its socket
    measured: Measured = field(default_factory=Measured)

    @property
    def origin(self) -> str:
        parts = urlsplit(self.rt.public_url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def is_https(self) -> bool:
        return self.rt.public_url.startswith("https://")


def web_of(connection: HTTPConnection) -> Web:
    web: Web = connection.app.state.web
    return web


async def in_thread(work: Callable[[], T]) -> T:
    """Run a use case where it may wait for the store without holding up anybody else."""
    return await to_thread.run_sync(work)
