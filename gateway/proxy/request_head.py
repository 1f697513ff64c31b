"""The head of a request to an upstream. What repeats is rendered once for each client connection and route (PX3-PX6).

Of a request with the same header bytes as the last one of its connection, only the request line, the ids and the
identity are written anew.
"""

from collections.abc import Iterable
from typing import Protocol

from gateway.proxy.errors import UpstreamLoop
from gateway.proxy.fields import is_settable, sent_on
from gateway.proxy.forwarded import ClientFields
from gateway.proxy.identity import IdentitySigner
from gateway.proxy.path import PathMap
from gateway.proxy.rules import CompiledRules
from gateway.proxy.tracing import TRACEPARENT, TRACESTATE, TraceContext, is_traceparent
from gateway.request.context import RequestContext
from gateway.request.fields import Field, ForwardedFields
from tenants.routes.schemas import Access, IdentityClaim, RouteSpec

PSEUDONYM = b"tenantry"  # in Via: names of hosts stay inside (RFC 9110 section 7.6.3)
_MOST_PASSES = 5  # through gateways with this name; gateways in a row are fewer, a loop is endless
_MOST_CACHED = 8  # routes that one client connection calls in turn
_COOKIES = frozenset({b"cookie", b"cookie2"})
_CRLF = b"\r\n"


class Signers(Protocol):
    """The part of ``IdentityTokens`` that is used."""

    def signer(self, audience: str, claims: tuple[IdentityClaim, ...]) -> IdentitySigner: ...


class RequestHeads:
    """Of one route."""

    def __init__(
        self, spec: RouteSpec, upstream: str, client: ClientFields, signers: Signers, traces: TraceContext
    ) -> None:
        """``upstream`` is its name. Raises OSError and ValueError for a file of ``set_from_file``."""
        self._client = client
        self._traces = traces
        self._path = PathMap(spec)
        self._rules = CompiledRules(spec.request_fields, is_settable)
        self._dropped = self._rules.replaced | (frozenset() if spec.forward_cookies else _COOKIES)
        self._preserve_host = spec.preserve_host
        public = spec.access is Access.PUBLIC
        self._signer = None if public else signers.signer(upstream, spec.identity)

    def render(self, request: RequestContext, host: bytes, framing: bytes = b"") -> bytes:
        """The complete head. ``host`` is the target's, ``framing`` further header lines. Raises NotFound, UpstreamLoop.

        Public routes carry no identity, with a credential too.
        """
        scope, cached = request.scope, request.fields.forwarded
        forwarded = cached.get(self) if cached is not None else None
        if forwarded is None:
            forwarded = self._prepare(request)
        path, query, principal = scope["raw_path"], scope["query_string"], request.principal
        if not self._path.keeps or b"%" in path or b"/." in path:
            path = self._path(path)
        return b"%b %b%b%b HTTP/1.1\r\nhost: %b\r\n%bx-request-id: %b%b%b\r\n%b\r\n" % (
            scope["method"].encode(),
            path,
            b"?" if query else b"",
            query,
            forwarded.host or host,
            forwarded.lines,
            request.request_id.encode(),
            b"" if forwarded.traced else b"\r\ntraceparent: " + self._traces.outgoing(request),
            b""
            if self._signer is None or principal is None
            else b"\r\ntenantry-identity: " + self._signer.value(principal, request.request_id),
            framing,
        )

    def _prepare(self, request: RequestContext) -> ForwardedFields:
        headers: list[Field] = request.scope["headers"]
        via = _via(headers, request.scope["http_version"])
        traced = _is_traced(headers)
        own = self._traces.own_spans
        replaced = frozenset({TRACEPARENT}) if own else frozenset()
        fields = sent_on(headers, self._dropped | (replaced if traced else {TRACEPARENT, TRACESTATE}))
        fields += self._rules.fields
        fields += self._client(request.scope, request.fields, request.client)
        fields.append((b"via", via))
        if self._path.stripped:
            fields.append((b"x-forwarded-prefix", self._path.stripped))
        host = request.fields.by_name.get(b"host") if self._preserve_host else None
        return self._keep(request, ForwardedFields(lines_of(fields), host, traced and not own))

    def _keep(self, request: RequestContext, forwarded: ForwardedFields) -> ForwardedFields:
        cached = request.fields.forwarded
        if cached is None or len(cached) >= _MOST_CACHED:
            cached = request.fields.forwarded = {}
        cached[self] = forwarded
        return forwarded


def lines_of(fields: Iterable[Field]) -> bytes:
    """Header lines, each with its CRLF. The fields are valid: they were parsed, or are the gateway's own."""
    return b"".join([b"%b: %b\r\n" % field for field in fields])


def _via(headers: list[Field], version: str) -> bytes:
    received = [value for name, value in headers if name == b"via" and value]
    passes = sum(_received_by(each) == PSEUDONYM for value in received for each in value.split(b","))
    if passes >= _MOST_PASSES:
        raise UpstreamLoop(detail=f"{passes} times in Via")
    return b", ".join([*received, b"%b %b" % (version.encode("ascii"), PSEUDONYM)])


def _received_by(entry: bytes) -> bytes:
    parts = entry.split(None, 2)
    return parts[1].lower() if len(parts) > 1 else b""


def _is_traced(headers: list[Field]) -> bool:
    parents = [value for name, value in headers if name == TRACEPARENT]
    return len(parents) == 1 and is_traceparent(parents[0])
