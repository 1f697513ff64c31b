"""Spans of proxied requests, for OpenTelemetry: off unless its packages are installed and ``OTEL_…`` says where to.

The packages are the extra ``tenantry[otel]``. They are imported when they are configured: where they are not, a request
runs through none of this. The variables are those of the OpenTelemetry specification, which its library reads itself.
"""

import importlib
from collections.abc import Mapping
from typing import Protocol

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.proxy.tracing import TraceContext
from gateway.request.context import RequestContext, context_of
from tenants.errors import TenantryError

SPAN = "tenantry.span"  # scope key of the traceparent of the request's own span
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_IMPLEMENTATION = "gateway.proxy.otel"

_log = structlog.get_logger(__name__)


class Span(Protocol):
    """One request that is under way."""

    traceparent: bytes  # by which the upstream's spans are below it

    def end(self, request: RequestContext, status: int, error: str | None) -> None:
        """``status`` is 0 without a response of the route itself; ``error`` is the code of what it raised."""
        ...


class Spans(Protocol):
    """Makes spans, and exports them in the background."""

    def begin(self, request: RequestContext) -> Span: ...

    async def close(self) -> None:
        """Export what is left."""
        ...


class SpanTraces(TraceContext):
    """Upstreams get the request's own span as the parent, in the place of what the caller sent."""

    own_spans = True

    def outgoing(self, request: RequestContext) -> bytes:
        span: bytes | None = request.scope.get(SPAN)
        return self.new() if span is None else span


class SpannedRoute:
    """The application of a route, with a span around it."""

    def __init__(self, inner: ASGIApp, spans: Spans) -> None:
        self._inner = inner
        self._spans = spans

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request, status, error = context_of(scope), 0, None
        span = self._spans.begin(request)
        request.scope[SPAN] = scope[SPAN] = span.traceparent

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._inner(scope, receive, watched)
        except BaseException as raised:
            error = raised.code if isinstance(raised, TenantryError) else type(raised).__name__
            raise
        finally:
            span.end(request, status, error)


def is_configured(environment: Mapping[str, str]) -> bool:
    """Whether the variables of OpenTelemetry ask for traces."""
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or exporter == "none":
        return False
    return bool(exporter) or any(environment.get(each) for each in _ENDPOINTS)


def spans_of(environment: Mapping[str, str]) -> Spans | None:
    """What exports spans, as the variables say; None when they ask for none, or for what is not installed."""
    if not is_configured(environment):
        return None
    try:
        made: Spans = importlib.import_module(_IMPLEMENTATION).make_spans(environment)
    except (ImportError, ValueError) as error:
        _log.error("traces_not_exported", error=f"{error}. Install tenantry[otel]; see docs/deployment.md, Traces.")
        return None
    return made
