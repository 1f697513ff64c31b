"""Ends open streams whose caller may not have them any more (ID5): answers that last, long polls, WebSockets.

A sweep looks at the requests in flight of this worker. A request pays nothing for it, and one that is answered within a
second is never looked at.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from time import perf_counter
from typing import cast

import structlog
from starlette.types import Scope

from gateway.http1.cycle import RequestCycle
from gateway.http1.protocol import Http1Protocol
from gateway.identity.lookup import Subject
from gateway.identity.principals import Principals
from gateway.identity.stage import check_address
from gateway.proxy.websocket.frames import CloseCode
from gateway.proxy.websocket.sockets import OpenSockets
from gateway.proxy.websocket.tunnel import STREAM, Tunnel
from gateway.request.context import RequestContext, context_of
from gateway.request.fields import Credential
from gateway.request.route import Route
from tenants.directory.errors import TenantSuspended
from tenants.errors import ErrorKind, Forbidden, TenantryError
from tenants.principal import Operator, TenantStatus

_INTERVAL = 0.5  # seconds between two sweeps
_YOUNG = 1.0  # seconds for which a request is not looked at
_AT_ONCE = 1_000  # connections that are looked at before other tasks run
_BATCH = 64  # credentials that are looked up at a time
ROUTE_CHANGED = "route_changed"

_log = structlog.get_logger(__name__)

Check = Callable[[RequestContext], None]


class OpenStreams:
    """One per worker process, while it serves."""

    def __init__(
        self,
        principals: Principals,
        checks: Iterable[Check],
        in_force: Callable[[Route], bool],
        sockets: OpenSockets,
    ) -> None:
        """``checks`` are stages of the gate that judge a principal; they raise what they refuse."""
        self._principals = principals
        self._checks = tuple(checks)
        self._in_force = in_force
        self._sockets = sockets
        self._connections: Collection[Http1Protocol] = ()
        self._task: asyncio.Task[None] | None = None
        self._lookup: asyncio.Task[None] | None = None

    def watch(self, connections: Collection[Http1Protocol]) -> None:
        """The server's open connections, which it keeps current."""
        self._connections = connections

    def start(self) -> None:
        """Sweep in the background."""
        self._task = asyncio.create_task(self._run(), name="open-streams")

    async def close(self) -> None:
        """Stop; streams that are open go on."""
        for task in (self._task, self._lookup):
            if task is not None:
                task.cancel()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_INTERVAL)
            try:
                self._sockets.tick(asyncio.get_running_loop().time())
                await self._sweep()
            except Exception:  # noqa: BLE001 - a stream that cannot be judged is tried again
                _log.exception("open_streams_failed")

    async def _sweep(self) -> None:
        """End what must end. What is not in the cache of principals is looked up in the background."""
        unknown: dict[bytes, Credential] = {}
        async for connection, request in self._streams():
            credential = request.fields.credential
            if request.route is None or not self._in_force(request.route):
                _end(connection, ROUTE_CHANGED)
            elif credential is not None and (request.principal or request.operator):
                try:
                    subject = self._principals.get(credential.key)
                except TenantryError as error:
                    _end(connection, error.code)
                    continue
                if subject is None:
                    unknown[credential.key] = credential
                else:
                    self._judge(connection, request, subject)
        if unknown and (self._lookup is None or self._lookup.done()):
            self._lookup = asyncio.create_task(self._look_up(list(unknown.values())), name="open-streams-lookup")

    async def _look_up(self, credentials: Sequence[Credential]) -> None:
        """While a credential cannot be looked up, its streams go on: nothing says that it has ended."""
        found: dict[bytes, Subject | BaseException] = {}
        for at in range(0, len(credentials), _BATCH):
            batch = credentials[at : at + _BATCH]
            loads = (self._principals.load(each) for each in batch)
            results = await asyncio.gather(*loads, return_exceptions=True)
            found |= zip([each.key for each in batch], results, strict=True)
        async for connection, request in self._streams():
            credential = request.fields.credential
            result = None if credential is None else found.get(credential.key)
            if isinstance(result, TenantryError):
                if result.kind is ErrorKind.UNAUTHENTICATED:
                    _end(connection, result.code)
            elif isinstance(result, Subject):
                self._judge(connection, request, result)

    def _judge(self, connection: Http1Protocol, request: RequestContext, subject: Subject) -> None:
        try:
            self._admit(request, subject)
        except TenantryError as error:
            _end(connection, error.code)

    def _admit(self, request: RequestContext, subject: Subject) -> None:
        """As the gate would admit the request now. Raises what refuses it."""
        if isinstance(subject, Operator):
            if subject != request.operator:
                raise Forbidden
        elif subject is not request.principal:
            if subject.tenant.status is TenantStatus.SUSPENDED:
                raise TenantSuspended
            check_address(subject, request.client)
            request.principal = subject
        for check in self._checks:
            check(request)

    async def _streams(self) -> AsyncIterator[tuple[Http1Protocol, RequestContext]]:
        began_before = perf_counter() - _YOUNG
        for number, connection in enumerate(tuple(self._connections), 1):
            request = _stream_of(connection)
            if request is not None and request.started < began_before:
                yield connection, request
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)  # 10,000 streams take 40 ms (LD1)


def _stream_of(connection: Http1Protocol) -> RequestContext | None:
    """The request for which an upstream is at work; None for any other connection."""
    cycle: RequestCycle | None = connection.cycle
    if cycle is None or not (cycle.taken_over or cycle.listens):
        return None
    try:
        return context_of(cast("Scope", cycle.scope))
    except KeyError:  # it has just ended
        return None


def _end(connection: Http1Protocol, reason: str) -> None:
    stream: Tunnel | None = connection.cycle.scope.get(STREAM)  # type: ignore[assignment]
    if stream is None:
        connection.cycle.cut_short(reason)
    else:
        stream.end(reason, CloseCode.POLICY_VIOLATION, reason)
