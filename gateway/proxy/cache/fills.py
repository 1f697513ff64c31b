"""Requests to the upstream that may fill the cache, and the requests that wait for one of them.

Misses of one key that arrive while the first is under way wait for it. They get its answer when it is complete, stored
and fresh; otherwise each goes on by itself, at the moment when that is known. A client that leaves ends the request to
the upstream only if none waits for it.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import NamedTuple

from starlette.types import Message, Scope

from gateway.proxy.cache.purges import Pattern
from gateway.proxy.cache.shares import Key
from gateway.proxy.cache.stored import Stored
from gateway.request.client import CLIENT, Client
from gateway.request.context import RequestContext
from gateway.request.fields import Field, RequestFields

_TENANT_PART = 2  # of the bytes that are being received, for one tenant


class Outcome(NamedTuple):
    """What those who waited are given."""

    entry: Stored
    failed: bool = False  # the upstream has failed, and the stale answer may be used in that case


FillKey = tuple[str, Key, tuple[bytes | None, ...]]


class FillClient:
    """What the forwarder sees in the place of a client: it leaves when the answer is of use to no request."""

    body_length = 0

    def __init__(self, real: Client | None) -> None:
        self._real = real
        self._callback: Callable[[], None] | None = None
        self._gone: asyncio.Event | None = None
        self.left = False

    @property
    def disconnected(self) -> bool:
        """Nothing can be written any more."""
        return self.left

    def stream_body(self, limit: int) -> None:
        """There is no body."""

    def whole_body(self) -> bytes:
        """There is none."""
        return b""

    def on_disconnect(self, callback: Callable[[], None] | None) -> None:
        """Call it once when the request is of no use any more."""
        self._callback = callback
        if self.left and callback is not None:
            callback()

    def on_shutdown(self, callback: Callable[[], None]) -> None:
        """As the real client does; a validation in the background is cancelled instead."""
        if self._real is not None:
            self._real.on_shutdown(callback)

    def cut_short(self, reason: str) -> None:
        """Close the client's connection."""
        if self._real is not None:
            self._real.cut_short(reason)

    def leave(self) -> None:
        """End the request to the upstream."""
        self.left = True
        callback, self._callback = self._callback, None
        if self._gone is not None:
            self._gone.set()
        if callback is not None:
            callback()

    async def receive(self) -> Message:
        """ASGI's ``receive`` of a request without a body."""
        if self._gone is None:
            self._gone = asyncio.Event()
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}


class Fill:
    """One request to the upstream. ``key`` is where its answer is stored, ``path`` the decoded one."""

    def __init__(self, tenant: str, key: Key, path: str, client: Client | None) -> None:
        self.tenant = tenant
        self.key = key
        self.path = path
        self.client = FillClient(client)
        self.outdated = False  # purged while it was under way: its answer is not stored
        self.held = 0  # bytes of the answer that are held
        self._abandoned = False  # its own client has left
        self._waiting: set[asyncio.Future[Outcome | None]] = set()

    def context(self, request: RequestContext, fields: list[Field]) -> RequestContext:
        """The request as the forwarder gets it, with these header fields."""
        scope: Scope = {**request.scope, "method": "GET", "headers": fields, "state": {}, CLIENT: self.client}
        own = request.fields
        if fields is not request.scope["headers"]:
            own = RequestFields.of(fields)
            own.source, own.credential = request.fields.source, request.fields.credential
        context = RequestContext(scope, own, self.client.receive, request.request_id, request.client)
        context.principal, context.operator, context.reason = request.principal, request.operator, request.reason
        context.route, context.cost = request.route, request.cost
        return context

    async def answer(self, client: Client | None) -> Outcome | None:
        """The answer, when it is complete and stored; None when this request has to go on by itself.

        Raises WaiterLeft when ``client``, who waits for it, leaves.
        """
        waiter: asyncio.Future[Outcome | None] = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        if client is not None:
            client.on_disconnect(lambda: _wake(waiter))
        try:
            outcome = await waiter
        finally:
            self._waiting.discard(waiter)
            if client is not None:
                client.on_disconnect(None)
            self._end_if_unwanted()
        if outcome is None and client is not None and client.left:
            raise WaiterLeft
        return outcome

    def release(self, outcome: Outcome | None = None) -> None:
        """Let those who wait go on."""
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(outcome)
        self._waiting = set()
        self._end_if_unwanted()

    def abandon(self) -> None:
        """Its own client has left."""
        self._abandoned = True
        self._end_if_unwanted()

    def _end_if_unwanted(self) -> None:
        if self._abandoned and not self._waiting and not self.client.left:
            self.client.leave()


class WaiterLeft(Exception):
    """The client of a request that waited for another one has left."""


class Fills:
    """Those that are under way. ``limit``: bytes of their answers that may be held at one time."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.bytes = 0
        self._by_tenant: Counter[str] = Counter()
        self._joinable: dict[FillKey, Fill] = {}
        self._by_path: defaultdict[str, set[Fill]] = defaultdict(set)

    def __len__(self) -> int:
        return sum(map(len, self._by_path.values()))

    def joinable(self, key: FillKey) -> Fill | None:
        """The fill that a miss of this key waits for."""
        return self._joinable.get(key)

    def begin(self, fill: Fill, key: FillKey | None) -> None:
        """It is under way. Others wait for it if ``key`` is given."""
        self._by_path[fill.path].add(fill)
        if key is not None:
            self._joinable[key] = fill

    def close(self, fill: Fill, key: FillKey | None, outcome: Outcome | None = None) -> None:
        """No request waits for it any more."""
        if key is not None and self._joinable.get(key) is fill:
            del self._joinable[key]
        fill.release(outcome)

    def end(self, fill: Fill, key: FillKey | None) -> None:
        """It is over."""
        self.close(fill, key)
        self.give_back(fill)
        members = self._by_path[fill.path]
        members.discard(fill)
        if not members:
            del self._by_path[fill.path]

    def hold(self, fill: Fill, size: int) -> bool:
        """Whether so many more bytes of its answer may be held."""
        tenants = self._by_tenant[fill.tenant] + size
        if self.bytes + size > self.limit or tenants > self.limit // _TENANT_PART:
            return False
        self.bytes += size
        fill.held += size
        self._by_tenant[fill.tenant] = tenants
        return True

    def give_back(self, fill: Fill) -> None:
        """Nothing of it is held any more."""
        self.bytes -= fill.held
        self._by_tenant[fill.tenant] -= fill.held
        if not self._by_tenant[fill.tenant]:
            del self._by_tenant[fill.tenant]
        fill.held = 0

    def any_of(self, tenant: str) -> bool:
        """Whether one of this tenant is under way."""
        return any(fill.tenant == tenant for fills in self._by_path.values() for fill in fills)

    def outdate(self, pattern: Pattern) -> None:
        """What is purged must not be stored, and later requests must not wait for it."""
        self._outdate(
            fill
            for fills in self._by_path.values()
            for fill in fills
            if pattern.covers(fill.key[0], fill.tenant, fill.path)
        )

    def outdate_path(self, tenant: str | None, path: str) -> None:
        """The same, of one path, for one tenant and for callers without one; None is all."""
        self._outdate(fill for fill in self._by_path.get(path, ()) if tenant is None or fill.tenant in {tenant, ""})

    def _outdate(self, fills: Iterable[Fill]) -> None:
        outdated = set(fills)
        for fill in outdated:
            fill.outdated = True
        if outdated:
            self._joinable = {key: fill for key, fill in self._joinable.items() if fill not in outdated}


def _wake(waiter: "asyncio.Future[Outcome | None]") -> None:
    if not waiter.done():
        waiter.set_result(None)
