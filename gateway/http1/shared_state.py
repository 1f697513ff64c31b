"""State that all connections of a process share, and the error responses that the server sends by itself."""

import asyncio
from typing import NamedTuple, Protocol

from starlette.types import Scope

from gateway.gate.request_id import RequestIds
from gateway.http1.delivery import Deliveries
from gateway.http1.header_fields import Field
from gateway.http1.held_memory import HeldMemory
from gateway.http1.response_head import HeadWriter, security_headers
from gateway.http1.timeouts import IdleTimeouts, Limits
from gateway.logs.setup import InfoLogger, access_logger
from gateway.problems.documents import Problems
from gateway.request.fields import RequestFields
from gateway.request.source import UNKNOWN, SourceReader, source_bucket
from gateway.settings import Mode, Settings
from tenants.errors import TenantryError

_SOURCES = 4  # that together may hold all memory
_MIN_BODIES = 16  # of the largest size, for which there is memory


class ErrorResponse(NamedTuple):
    """A complete response, after which the connection closes."""

    status: int
    headers: list[Field]
    body: bytes


class ErrorResponder:
    """Builds a problem document with a request id for each error, and writes its access log line.

    The line has no method and no route, since an invalid request is not trusted.
    """

    def __init__(self, problems: Problems, logger: InfoLogger) -> None:
        self._ids = RequestIds()
        self._problems = problems
        self._logger = logger

    def respond(self, error: TenantryError, source: str, seconds: float) -> ErrorResponse:
        """``source`` is the peer's address, ``seconds`` the time since the request's first byte."""
        request_id = self._ids.next()
        document = self._problems.response(error, request_id)
        headers = [*document.raw_headers, (b"x-request-id", request_id.encode()), (b"connection", b"close")]
        self._logger.info(
            "request",
            request_id=request_id,
            method=None,
            route=None,
            status=document.status_code,
            milliseconds=round(seconds * 1000, 2),
            source=source,
            code=error.code,
            detail=error.detail,  # a constant of ours: never client input
        )
        return ErrorResponse(document.status_code, headers, bytes(document.body))


class Connection(Protocol):
    """What the shared state does to a connection."""

    def on_timeout(self) -> None:
        """The connection's timeout has passed."""

    def evict(self) -> None:
        """Close at once, to free the connection for another client."""


class SharedState:
    """Created once per process, in its event loop."""

    def __init__(self, settings: Settings, limits: Limits, loop: asyncio.AbstractEventLoop) -> None:
        self.limits = limits
        self.body_limit = settings.body_limit
        self.heads = HeadWriter(security_headers(https=settings.public_url.startswith("https:")))
        self.errors = ErrorResponder(
            Problems(settings.public_url),
            access_logger(level=settings.log_level, readable=settings.mode is Mode.DEVELOPMENT),
        )
        self.source = SourceReader(settings.trusted_proxies)
        limit = max(settings.held_memory_limit, _MIN_BODIES * settings.body_limit)
        self.memory = HeldMemory(limit, limit // _SOURCES)
        self.deliveries = Deliveries(limits, self.memory, loop)
        self.timeouts: IdleTimeouts[Connection] = IdleTimeouts(loop, lambda each: each.on_timeout(), limits.sweep)

    def peer_source(self, client: tuple[str, int] | None) -> str | None:
        """The source that a connection's memory counts for; None where only the head of each request can tell."""
        source = self.source.of_peer(client[0]) if client else None
        return None if source is None else source_bucket(source)

    def request_source(self, scope: Scope, fields: RequestFields) -> str | None:
        """The source of one request, and None without an address. It is stored for the gate."""
        source = fields.source
        if source is None:
            source = fields.source = self.source(scope)
        return None if source == UNKNOWN else source_bucket(source)

    def enforce_connection_limit(self, connections: int) -> None:
        """Above the limit, evict the connection whose client has been silent the longest."""
        if connections > self.limits.max_connections and (oldest := self.timeouts.oldest()) is not None:
            self.timeouts.cancel(oldest)
            oldest.evict()
