"""``Spans`` by the OpenTelemetry SDK. Imported by name, since its packages are an extra (``spans.py``).

Names and attributes follow the semantic conventions for HTTP servers. A span has the template of the route and never
the path, which holds ids, and sometimes secrets by mistake.
"""

import asyncio
from collections.abc import Mapping

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gateway.proxy.spans import Span
from gateway.proxy.tracing import TRACEPARENT, TRACESTATE
from gateway.request.context import RequestContext
from gateway.version import VERSION

_SERVER_ERROR = 500
_LOGGED = {"upstream": "tenantry.upstream", "cache": "tenantry.cache", "attempts": "http.request.resend_count"}


class OtelSpans:
    """Exports through ``provider``."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("tenantry", VERSION)
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, request: RequestContext) -> Span:
        sent = request.fields.by_name
        parent = None
        if TRACEPARENT in sent:
            carrier = {
                each.decode(): sent[each].decode("latin-1") for each in (TRACEPARENT, TRACESTATE) if each in sent
            }
            parent = self._propagator.extract(carrier)
        method: str = request.scope["method"]
        attributes = {"http.request.method": method, "http.route": request.template or ""}
        name = f"{method} {request.template or ''}"
        return _OtelSpan(self._tracer.start_span(name, parent, SpanKind.SERVER, attributes))

    async def close(self) -> None:
        """At most the timeout of the exporter (``OTEL_EXPORTER_OTLP_TIMEOUT``)."""
        await asyncio.to_thread(self._provider.shutdown)


class _OtelSpan:
    def __init__(self, span: trace.Span) -> None:
        self._span = span
        context = span.get_span_context()
        self.traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}".encode()

    def end(self, request: RequestContext, status: int, error: str | None) -> None:
        span = self._span
        if span.is_recording():
            span.set_attribute("tenantry.request_id", request.request_id)
            if request.principal is not None:
                span.set_attribute("tenantry.tenant", str(request.principal.tenant.id))
            for key, attribute in _LOGGED.items():
                if key in request.log:
                    span.set_attribute(attribute, str(request.log[key]))
            if status:
                span.set_attribute("http.response.status_code", status)
            if error is not None:
                span.set_attribute("error.type", error)
            if error is not None or status >= _SERVER_ERROR:
                span.set_status(Status(StatusCode.ERROR))
        span.end()


def make_spans(environment: Mapping[str, str]) -> OtelSpans:
    """As the variables say. Raises ValueError for an exporter or a protocol that is not supported."""
    named = {} if environment.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: "tenantry"}
    provider = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(_exporter(environment)))
    return OtelSpans(provider)


def _exporter(environment: Mapping[str, str]) -> SpanExporter:
    name = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower() or "otlp"
    protocol = environment.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environment.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    if name == "console":
        return ConsoleSpanExporter()
    if name != "otlp" or (protocol or "http/protobuf") != "http/protobuf":
        raise ValueError("traces are exported by OTLP over http/protobuf, or to the console")
    return OTLPSpanExporter()
