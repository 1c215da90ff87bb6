"""Who asks, whether a browser was tricked into asking, and what browsers are told not to do."""

import hmac
import secrets
from base64 import urlsafe_b64encode
from functools import partial
from hashlib import sha256
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from alertd.core.errors import Forbidden, Unauthenticated
from alertd.core.roles import Role
from alertd.service import access
from alertd.service.access import SESSION_LIFE, Credential
from alertd.service.group_commit import GroupCommit
from alertd.service.runtime import Actor, Runtime
from alertd.web.context import Web, in_thread, web_of
from alertd.web.limits import BAD_CREDENTIALS, REQUESTS

_AT_ONCE: Final = 200  # look-ups in one turn: some 10 ms, so that nobody waits long for those who came before
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


_DEVICE: Final = "alertd-device"  # a cookie of the sign-in pages
_DEVICE_LIFE: Final = 24 * 3600


def client_address(connection: HTTPConnection) -> str:
    """Whose tries are counted together. Of an IPv6 address that is its network: whoever has one has 2**64 of them."""
    host = connection.client.host if connection.client else "unknown"
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        own = address.ipv4_mapped
        return str(own or IPv6Network((int(address), 64), strict=False))
    return host


def cookie_name(web: Web) -> str:
    # The __Host- prefix keeps other names on the same domain from setting it; browsers take it over https only.
    return "__Host-alertd" if web.is_https else "alertd"


def set_session(web: Web, response: Response, secret: str) -> None:
    response.set_cookie(
        cookie_name(web),
        secret,
        max_age=int(SESSION_LIFE.total_seconds()),
        secure=web.is_https,
        httponly=True,
        samesite="lax",
    )


async def keep_signed_in(request: Request, actor: Actor, response: Response) -> None:
    """Let a session go on from today, as whoever opens the app with it still needs it."""
    web = web_of(request)
    if actor.kind == "session" and await in_thread(lambda: access.prolong_session(web.rt, actor)):
        set_session(web, response, request.cookies[cookie_name(web)])


def clear_session(web: Web, response: Response) -> None:
    response.delete_cookie(cookie_name(web), secure=web.is_https, httponly=True, samesite="lax")


def mark_device(web: Web, request: HTTPConnection, response: Response) -> None:
    """Let this browser be known again if it signs in: see `session_wish`."""
    if _DEVICE not in request.cookies:
        response.set_cookie(
            _DEVICE,
            secrets.token_urlsafe(32),
            max_age=_DEVICE_LIFE,
            path="/sign-in",
            secure=web.is_https,
            httponly=True,
            samesite="lax",
        )


def session_wish(web: Web, request: HTTPConnection, spent: str) -> str | None:
    """The secret of the session that this browser gets for a one-time link or code: the same whenever it asks again,
    because it was tapped twice or the answer was lost. Nobody else gets it for that link, nor could tell it.
    """
    device = request.cookies.get(_DEVICE)
    if device is None:
        return None
    made = hmac.digest(web.session_secret, f"session:{device}:{spent}".encode("utf-8", "surrogatepass"), sha256)
    return urlsafe_b64encode(made).decode().rstrip("=")


async def authenticate(connection: HTTPConnection, bearer: str | None = None) -> Actor:
    """Whoever asks, by bearer token (`bearer`, or the header) or by session. Raises Unauthenticated or TooMany."""
    web = web_of(connection)
    token = bearer if bearer is not None else bearer_of(connection.headers)
    session = connection.cookies.get(cookie_name(web))
    if token is None and session is None:
        raise Unauthenticated("sign in, or send a bearer token")
    credential: Credential = ("token", token) if token is not None else ("session", session or "")
    try:
        group: GroupCommit[Credential, Actor] = connection.app.state.authentications
        actor = await group.submit(credential)
    except Unauthenticated:
        web.limits.spend(BAD_CREDENTIALS, "credential", client_address(connection))
        raise
    web.limits.spend(REQUESTS, "credential", actor.credential_id)
    return actor


def authentications(rt: Runtime) -> GroupCommit[Credential, Actor]:
    """Where credentials are looked up: whoever comes at once shares one turn in a thread.

    When a whole town comes back, a turn each would cost more than the look-ups, and take more than the store has.
    """
    return GroupCommit(partial(access.authenticate_all, rt), _AT_ONCE)


async def require(request: Request, role: Role) -> Actor:
    """The actor, if they have `role` and their browser was not tricked. Raises Unauthenticated, Forbidden."""
    actor = await authenticate(request)
    if not actor.may(role):
        raise Forbidden(f"this takes the role {role.word}; you have {actor.role.word}")
    if actor.kind == "session" and request.method not in _SAFE:
        check_origin(request)
    return actor


def bearer_of(headers: Headers) -> str | None:
    """The bearer token of a request; RFC 6750 section 2.1."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def csrf_token(web: Web, actor: Actor) -> str:
    """What a form of this session must carry."""
    return hmac.new(web.session_secret, b"csrf:" + actor.credential_id.encode(), sha256).hexdigest()


def person_mark(web: Web, actor: Actor) -> str:
    """A mark of the person: what a browser keeps for one is not shown or sent when another has signed in there."""
    return hmac.new(web.session_secret, b"person:" + actor.person_id.encode(), sha256).hexdigest()[:16]


def check_csrf(web: Web, actor: Actor, given: str | None) -> None:
    """Raises Forbidden unless `given` is this session's token. Bearer tokens are sent by no browser on its own."""
    if actor.kind != "session":
        return
    if given is None or not hmac.compare_digest(csrf_token(web, actor).encode(), given.encode()):
        raise Forbidden("this form is from another session: load the page again")


def check_origin(connection: HTTPConnection) -> None:
    """Raises Forbidden when a browser says that the request comes from another site's page."""
    origin = connection.headers.get("origin")
    if origin is None:
        return
    own = {
        web_of(connection).origin,
        f"{connection.url.scheme.replace('ws', 'http')}://{connection.headers.get('host', '')}",
    }
    if origin not in own:
        raise Forbidden("this request comes from a page of another site")


_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "worker-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)


_TOLD: Final = (
    ("content-security-policy", _POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "same-origin"),  # not no-referrer: forms would then come with `Origin: null`
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
    ("cross-origin-opener-policy", "same-origin"),
)


class SecurityHeaders:
    """Tells browsers what pages may load, and to keep nothing: links carry proofs, pages carry people."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self._app = app
        secure = (("strict-transport-security", "max-age=31536000"),) if https else ()
        # Made once: in the hour of an alert every answer takes them along.
        self._headers = [(name.encode(), value.encode()) for name, value in (*_TOLD, *secure)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = message["headers"]
                kept = [] if any(name == b"cache-control" for name, _ in own) else [(b"cache-control", b"no-store")]
                message["headers"] = [*own, *self._headers, *kept]
            await send(message)

        await self._app(scope, receive, send_with_headers)
