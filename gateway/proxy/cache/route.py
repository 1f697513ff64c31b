"""A route with a cache in front of the forwarder (RFC 9111): answers from it, or has it filled.

The gate has admitted, charged and counted the request before: a stored answer costs a tenant what any other costs. A
stored answer that is fresh is sent without a task, a lock or a timer.
"""

from collections.abc import Awaitable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.proxy.cache.callers import SentFields, read_fields
from gateway.proxy.cache.capture import Asked, Capture, Mode
from gateway.proxy.cache.delivery import deliver, forwarded, hit, with_status
from gateway.proxy.cache.errors import NotStored
from gateway.proxy.cache.fills import Fill, FillKey, Outcome, WaiterLeft
from gateway.proxy.cache.rules import CacheRules
from gateway.proxy.cache.shares import Key, Resource, selected
from gateway.proxy.cache.store import ResponseCache
from gateway.proxy.cache.stored import Stored
from gateway.proxy.cache.verdicts import Verdict, is_fresh, verdict
from gateway.request.client import CLIENT, Client
from gateway.request.context import RequestContext, context_of
from gateway.request.fields import Field
from tenants.errors import ErrorKind, TenantryError
from tenants.routes.schemas import Access, CacheSpec, RouteSpec

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_FAILURES = frozenset({ErrorKind.UPSTREAM, ErrorKind.UPSTREAM_TIMEOUT, ErrorKind.UNAVAILABLE})
_CONDITIONS = frozenset({b"if-none-match", b"if-modified-since"})
_LEAST_ERROR = 400
_ROUNDS = 3  # times that a request waits for another one, of another variant


def with_cache(inner: ASGIApp, route: RouteSpec, cache: ResponseCache, *, invalidates: bool) -> ASGIApp:
    """The application of a route. ``invalidates``: another route may have stored what this one changes."""
    if route.cache is not None:
        return CachedRoute(inner, route, route.cache, cache)
    return InvalidatingRoute(inner, cache) if invalidates else inner


class InvalidatingRoute:
    """A route without a cache, whose unsafe methods change what others have stored (RFC 9111 section 4.4)."""

    def __init__(self, inner: ASGIApp, cache: ResponseCache) -> None:
        self._inner = inner
        self._cache = cache

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["method"] in _SAFE:
            return self._inner(scope, receive, send)
        return self._inner(scope, receive, invalidating(self._cache, context_of(scope), send))


def invalidating(cache: ResponseCache, request: RequestContext, send: Send) -> Send:
    """A ``send`` that invalidates before the client knows that its request was done."""
    principal, path = request.principal, request.scope["path"]
    tenant = None if principal is None else str(principal.tenant.id)

    async def invalidate(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] < _LEAST_ERROR:
            cache.invalidate(tenant, path)
        await send(message)

    return invalidate


class CachedRoute:
    """One route, as it is configured now: another object starts anew."""

    def __init__(self, inner: ASGIApp, route: RouteSpec, spec: CacheSpec, cache: ResponseCache) -> None:
        self._inner = inner
        self._cache = cache
        self._zone = cache.zone(route.name)
        self._rules = CacheRules.of(route, spec)
        self._public = route.access is Access.PUBLIC
        self._outcomes = cache.stats.outcomes

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        request = context_of(scope)
        method = request.scope["method"]
        if method not in {"GET", "HEAD"}:
            if method not in _SAFE:
                send = invalidating(self._cache, request, send)
            return self._inner(scope, receive, send)
        sent = read_fields(request, self._cache.client_fields)
        if sent.bypass or (sent.cookie and self._rules.cookies) or not self._cache.trusted or request.operator:
            return self._bypass(scope, receive, send, sent.bypass)
        return self._answered(request, sent, scope, receive, send)

    def _answered(
        self, request: RequestContext, sent: SentFields, scope: Scope, receive: Receive, send: Send
    ) -> Awaitable[None]:
        caller, target = sent.caller, request.scope
        share = "" if self._public else caller.share(self._rules.spec.shared_by)
        key = (self._zone, share, sent.authority, target["raw_path"], target["query_string"])
        resource = self._cache.get(caller.tenant, key)
        entry = None if resource is None else resource.select(request.fields, target["headers"])
        if entry is not None and (served := self._served(request, sent, key, entry, send)) is not None:
            return served
        if sent.control.only_if_cached:
            self._count(request, "refused")
            raise NotStored
        if target["method"] == "HEAD":
            self._count(request, "miss")
            return self._passed(scope, receive, send, b"uri-miss" if entry is None else b"stale")
        return self._miss(request, self._asked(request, sent, key), resource, send)

    def _served(
        self, request: RequestContext, sent: SentFields, key: Key, entry: Stored, send: Send
    ) -> Awaitable[None] | None:
        """To be awaited, where the stored answer may be used; None where it may not."""
        now = self._cache.monotonic()
        judged = verdict(entry, sent.control, now)
        if judged is Verdict.VALIDATE:
            return None
        self._count(request, "hit" if judged is Verdict.FRESH else "stale")
        if judged is Verdict.REVALIDATE:
            self._revalidate(request, self._asked(request, sent, key), entry)
        return deliver(entry, sent, send, hit(entry, now), now)

    def _asked(self, request: RequestContext, sent: SentFields, key: Key) -> Asked:
        return Asked(
            rules=self._rules,
            sent=sent,
            tenant=sent.caller.tenant,
            key=key,
            path=request.scope["path"],
            identified=sent.caller.principal is not None and not self._public,
            fields=request.fields,
            headers=request.scope["headers"],
        )

    async def _miss(self, request: RequestContext, asked: Asked, resource: Resource | None, send: Send) -> None:
        """Wait for a request that is under way, or ask the upstream."""
        client: Client | None = request.scope.get(CLIENT)
        entry = None if resource is None else resource.select(asked.fields, asked.headers)
        for _ in range(_ROUNDS):
            fill_key = self._fill_key(asked, resource, entry)
            fill = None if fill_key is None else self._cache.fills.joinable(fill_key)
            if fill is None:
                await self._lead(request, asked, entry, fill_key, send)
                return
            try:
                outcome = await fill.answer(client)
            except WaiterLeft:
                return
            if outcome is not None and await self._collapsed(request, asked, outcome, send):
                return
            resource = self._cache.get(asked.tenant, asked.key)
            entry = None if resource is None else resource.select(asked.fields, asked.headers)
            if entry is not None and (served := self._served(request, asked.sent, asked.key, entry, send)) is not None:
                await served
                return
            if outcome is None:
                break
        await self._lead(request, asked, entry, None, send)

    def _fill_key(self, asked: Asked, resource: Resource | None, entry: Stored | None) -> FillKey | None:
        """What the miss has in common with others; None: it goes by itself."""
        if asked.sent.control.no_cache or asked.sent.control.max_age is not None:
            return None  # an answer that the upstream has begun before this request is not what it asks for
        if resource is None:
            return asked.tenant, asked.key, ()
        if resource.uncacheable_until > self._cache.monotonic() or (entry and entry.never_fresh):
            return None  # no answer will be fresh for others
        return asked.tenant, asked.key, selected(resource.names, asked.fields, asked.headers)

    async def _collapsed(self, request: RequestContext, asked: Asked, outcome: Outcome, send: Send) -> bool:
        """Whether the answer to another request was this one's, too."""
        entry, now = outcome.entry, self._cache.monotonic()
        if entry.selected != selected(entry.selecting, asked.fields, asked.headers):
            return False
        if not (outcome.failed or verdict(entry, asked.sent.control, now) is Verdict.FRESH):
            return False
        self._count(request, "stale" if outcome.failed else "collapsed")
        reason = b"stale" if outcome.failed else b"miss"
        await deliver(entry, asked.sent, send, forwarded(reason, collapsed=True), now)
        return True

    async def _lead(
        self, request: RequestContext, asked: Asked, entry: Stored | None, key: FillKey | None, send: Send
    ) -> None:
        """Ask the upstream; others wait for it if ``key`` is given."""
        client: Client | None = request.scope.get(CLIENT)
        fill = Fill(asked.tenant, asked.key, asked.path, client)
        capture = Capture(self._cache, asked, fill, key, entry=entry, send=send)
        capture.reason = _reason(entry, self._cache.monotonic())
        context = fill.context(request, self._upstream_fields(asked, key, capture))
        context.log = request.log
        self._cache.fills.begin(fill, key)
        if client is not None:
            client.on_disconnect(fill.abandon)
        try:
            await self._fill(context, fill, key, capture)
        finally:
            if client is not None:
                client.on_disconnect(None)
        await self._finish(request, asked, capture, send)

    async def _fill(self, context: RequestContext, fill: Fill, key: FillKey | None, capture: Capture) -> None:
        """Raises what the forwarder raises, unless a stale answer takes its place."""
        try:
            await self._inner(context.scope, fill.client.receive, capture.send)
        except TenantryError as error:
            if error.kind not in _FAILURES or not capture.may_use_stale:
                raise
            capture.fail()
        finally:
            capture.end()
            self._cache.fills.end(fill, key)
            for closer in (*context.closers, *context.delivery_closers):
                closer(context, capture.status)
            context.close()

    @staticmethod
    def _upstream_fields(asked: Asked, key: FillKey | None, capture: Capture) -> list[Field]:
        """Conditions of the client are judged by the cache, unless the answer will not be stored."""
        entry, sent = capture.validated, asked.sent
        if entry is None and (key is None or (sent.if_none_match is None and sent.if_modified_since is None)):
            return asked.headers
        fields = [field for field in asked.headers if field[0] not in _CONDITIONS]
        if entry is not None and entry.etag is not None:
            fields.append((b"if-none-match", entry.etag))
        if entry is not None and entry.last_modified is not None:
            fields.append((b"if-modified-since", entry.last_modified))
        return fields

    async def _finish(self, request: RequestContext, asked: Asked, capture: Capture, send: Send) -> None:
        """Send what the capture has held back."""
        entry, now = capture.result, self._cache.monotonic()
        if capture.mode is Mode.FOREIGN and capture.validated is not None:
            self._cache.remove(asked.tenant, asked.key, capture.validated)
            await self._lead(request, asked, None, None, send)
            return
        self._count(request, _OUTCOMES.get(capture.mode, "miss"))
        if entry is not None and not capture.streaming:
            status = capture.status if capture.mode is not Mode.KEEP else 0
            text = forwarded(capture.reason, status=status, stored=capture.stored)
            await deliver(entry, asked.sent, send, text, now)

    def _revalidate(self, request: RequestContext, asked: Asked, entry: Stored) -> None:
        """Validate in the background what was served stale."""
        key = (asked.tenant, asked.key, entry.selected)
        if self._cache.background.full or self._cache.fills.joinable(key) is not None:
            return
        fill = Fill(asked.tenant, asked.key, asked.path, None)
        capture = Capture(self._cache, asked, fill, key, entry=entry, send=None)
        context = fill.context(request, self._upstream_fields(asked, key, capture))
        self._cache.fills.begin(fill, key)
        self._cache.background.start(self._fill(context, fill, key, capture))

    async def _bypass(self, scope: Scope, receive: Receive, send: Send, detail: str | None) -> None:
        self._count(context_of(scope), "bypass")
        await self._passed(scope, receive, send, b"bypass" if detail is None else b"bypass; detail=" + detail.encode())

    async def _passed(self, scope: Scope, receive: Receive, send: Send, reason: bytes) -> None:
        """Neither from the cache nor for it."""

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": with_status(message["headers"], b"fwd=" + reason)}
            await send(message)

        await self._inner(scope, receive, marked)

    def _count(self, request: RequestContext, outcome: str) -> None:
        self._outcomes[outcome] += 1
        request.log["cache"] = outcome


_OUTCOMES = {Mode.VALIDATED: "validated", Mode.FAILED: "stale"}


def _reason(entry: Stored | None, now: float) -> bytes:
    """Why the request was forwarded (RFC 9211 section 2.2)."""
    if entry is None:
        return b"uri-miss"
    return b"request" if is_fresh(entry, now) else b"stale"
