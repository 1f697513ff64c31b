"""A cached route in front of an upstream that counts its requests, with a clock that the test moves."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any
from uuid import UUID

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.proxy.cache.route import with_cache
from gateway.proxy.cache.store import ResponseCache
from gateway.proxy.forwarded import ClientFields
from gateway.request.client import CLIENT
from gateway.request.context import RequestContext, context_of
from gateway.request.fields import RequestFields
from gateway.request.source import SourceReader
from tenants.database.listener import Subscriber
from tenants.identifiers import TenantId
from tenants.principal import Principal, PrincipalKind, TenantRef, TenantStatus
from tenants.routes.schemas import Access, CacheSpec, RouteSpec
from tests.asgi import HOST, Header, Response, call, http_scope

EPOCH = 1_700_000_000.0  # the wall clock at the start
LIMIT = 1_048_576


def principal(number: int = 1, tenant: int = 1, roles: tuple[str, ...] = ("member",)) -> Principal:
    """A key of a tenant."""
    ref = TenantRef(
        TenantId(UUID(int=tenant)), f"tenant-{tenant}", TenantStatus.ACTIVE, f"t{tenant}", f"r{tenant}", "free"
    )
    return Principal(PrincipalKind.API_KEY, UUID(int=number), ref, roles)


class Channel:
    """A change listener that is always confirmed, until it is told otherwise."""

    def __init__(self) -> None:
        self.confirmed_at = float("inf")
        self.subscribers: list[Subscriber] = []

    def subscribe(self, subscriber: Subscriber) -> None:
        self.subscribers.append(subscriber)

    def notify(self, kind: str, changed: str) -> None:
        for each in self.subscribers:
            each(kind, changed)


class Clock:
    """Seconds since the start of the test."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return EPOCH + self.now - 1_000.0

    def date(self, ahead: float = 0) -> bytes:
        return formatdate(self.wall() + ahead, usegmt=True).encode()


@dataclass
class Seen:
    """One request that reached the upstream."""

    method: str
    target: bytes
    headers: list[Header]
    principal: Principal | None

    def header(self, name: bytes) -> bytes | None:
        return dict(self.headers).get(name)


Answering = Callable[[Seen, Send], Awaitable[None]]


@dataclass
class Upstream:
    """Answers with ``status``, ``headers`` and ``body``, or as ``answering`` does."""

    status: int = 200
    headers: list[Header] = field(default_factory=list)
    body: bytes = b""
    answering: Answering | None = None
    seen: list[Seen] = field(default_factory=list)

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        request = context_of(scope)
        target = request.scope["raw_path"] + b"?" + request.scope["query_string"]
        one = Seen(request.scope["method"], target, request.scope["headers"], request.principal)
        self.seen.append(one)
        if self.answering is not None:
            await self.answering(one, send)
        else:
            body = self.body or b"answer %d" % len(self.seen)
            await respond(send, self.status, self.headers, body)

    @property
    def calls(self) -> int:
        return len(self.seen)


async def respond(send: Send, status: int, headers: Iterable[Header], body: bytes = b"") -> None:
    """An answer of one piece."""
    await send({"type": "http.response.start", "status": status, "headers": [*headers, (b"server", b"u")]})
    await send({"type": "http.response.body", "body": body})


class LeavingClient:
    """The real client of a request, which the test lets leave."""

    body_length = 0

    def __init__(self) -> None:
        self.left = False
        self._callback: Callable[[], None] | None = None

    def on_disconnect(self, callback: Callable[[], None] | None) -> None:
        self._callback = callback

    def leave(self) -> None:
        self.left = True
        if self._callback is not None:
            self._callback()


class World:
    """One worker: a cache, and a route in front of ``upstream``."""

    def __init__(self, limit: int = LIMIT, **route: Any) -> None:
        self.clock = Clock()
        self.channel = Channel()
        self.upstream = Upstream()
        self.cache = ResponseCache(
            limit,
            self.channel,
            ClientFields(SourceReader()),
            monotonic=self.clock.monotonic,
            wall=self.clock.wall,
        )
        self.app = self.route(**route)

    def route(self, upstream: ASGIApp | None = None, *, invalidates: bool = True, **route: Any) -> ASGIApp:
        """A further route, or a further version of one."""
        spec = {"name": "echo", "upstream": "echo", "path": "/", "access": Access.PRINCIPAL, "cache": CacheSpec()}
        return with_cache(
            upstream or self.upstream, RouteSpec(**{**spec, **route}), self.cache, invalidates=invalidates
        )

    async def ask(
        self,
        path: str = "/a",
        *headers: Header,
        who: Principal | None = None,
        method: str = "GET",
        query: bytes = b"",
        app: ASGIApp | None = None,
        client: LeavingClient | None = None,
        fields: RequestFields | None = None,
        raw_path: bytes | None = None,
    ) -> Response:
        """The answer to one request, of principal 1 by default."""
        scope = http_scope(method, path, headers=(HOST, *headers), query=query, raw_path=raw_path)
        if client is not None:
            scope[CLIENT] = client
        request = RequestContext(
            scope, fields or RequestFields.of(scope["headers"]), _receive, "req_01h455vb4pex5vsknk084sn02q", "192.0.2.1"
        )
        request.principal = principal() if who is None else who
        return await call(app or self.app, scope)

    async def ask_publicly(self, path: str = "/a", *headers: Header, app: ASGIApp | None = None) -> Response:
        """The same without a credential."""
        scope = http_scope("GET", path, headers=(HOST, *headers))
        RequestContext(scope, RequestFields.of(scope["headers"]), _receive, "req_01h455vb4pex5vsknk084sn02q", "::1")
        return await call(app or self.app, scope)


def cached(value: bytes, *more: Header) -> list[Header]:
    """Header fields of an answer with this Cache-Control."""
    return [(b"cache-control", value), *more]


def status_of(response: Response) -> str:
    """Cache-Status without the name of the cache."""
    return (response.header("cache-status") or "").removeprefix("tenantry; ")


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(20):
        await asyncio.sleep(0)


async def _receive() -> Any:
    return {"type": "http.request", "body": b"", "more_body": False}
