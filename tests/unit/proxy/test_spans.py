"""Spans of proxied requests, received by OTLP over HTTP as a collector receives them."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue
from threading import Thread
from typing import Any

import anyio
import pytest

from gateway.proxy.cache.route import with_cache
from gateway.proxy.cache.store import ResponseCache
from gateway.proxy.forwarded import ClientFields
from gateway.proxy.spans import SpannedRoute, SpanTraces, is_configured, spans_of
from gateway.request.source import SourceReader
from tests.fixtures.proxied import ProxiedServer, ScriptedUpstream, answering, proxied, scripted
from tests.raw_http import RawResponse, connected
from tests.unit.proxy.cache.worlds import Channel

_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_TRACE = "0af7651916cd43dd8448eb211c80319c"
_PARENT = "b7ad6b7169203331"
_CACHED = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\nok"


@contextmanager
def _collector() -> Iterator[tuple[str, "SimpleQueue[bytes]"]]:
    """Its URL, and the bodies that it receives."""
    received: SimpleQueue[bytes] = SimpleQueue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            received.put(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", received
    finally:
        server.shutdown()
        server.server_close()


def _spans(bodies: "SimpleQueue[bytes]") -> list[Any]:
    messages = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
    found = []
    while not bodies.empty():
        request = messages.ExportTraceServiceRequest.FromString(bodies.get())
        for resource in request.resource_spans:
            names = {each.key: each.value.string_value for each in resource.resource.attributes}
            assert names["service.name"] == "tenantry"
            found += [span for scope in resource.scope_spans for span in scope.spans]
    return found


def _attributes(span: Any) -> dict[str, str]:
    return {each.key: each.value.string_value or str(each.value.int_value) for each in span.attributes}


def _ask(gateway: ProxiedServer, lines: bytes = b"") -> RawResponse:
    with connected(gateway.port) as client:
        client.send(b"GET /a HTTP/1.1\r\nHost: gate.test\r\n%b\r\n" % lines)
        return client.response()


def _asked(upstream: ScriptedUpstream, environment: dict[str, str], *lines: bytes) -> list[RawResponse]:
    """The answers of a cached route with spans, one for each request's ``lines``; all spans are exported."""
    spans = spans_of(environment)
    assert spans is not None
    cache = ResponseCache(1_048_576, Channel(), ClientFields(SourceReader()))
    with proxied(
        upstream,
        wrap=lambda spec, inner: SpannedRoute(with_cache(inner, spec, cache, invalidates=False), spans),
        traces=SpanTraces(),
        cache={},
    ) as gateway:
        answers = [_ask(gateway, each) for each in lines]
    anyio.run(spans.close)
    return answers


def test_each_request_is_a_span_between_the_callers_and_the_upstreams(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named by the route, says what the cache did, and the upstream's spans are below it."""
    pytest.importorskip("opentelemetry.sdk")
    sent = b"traceparent: 00-%b-%b-01\r\ntracestate: vendor=1\r\n" % (_TRACE.encode(), _PARENT.encode())
    with _collector() as (url, bodies), scripted(answering(_CACHED)) as upstream:
        monkeypatch.setenv(_ENDPOINT, url)
        _asked(
            upstream, {_ENDPOINT: url}, sent, sent, sent.replace(b"-01\r\n", b"-00\r\n"), b"Cache-Control: no-cache\r\n"
        )
    first, hit, begun = _spans(bodies)  # the caller of the third has not sampled its trace
    assert {each.trace_id.hex() for each in (first, hit)} == {_TRACE}
    assert {each.parent_span_id.hex() for each in (first, hit)} == {_PARENT}
    assert (begun.parent_span_id, begun.trace_id.hex() == _TRACE) == (b"", False)
    received = upstream.requests
    parents = [(each.field("traceparent") or "").split("-")[1:3] for each in received]
    assert parents == [[span.trace_id.hex(), span.span_id.hex()] for span in (first, begun)]
    assert [each.field("tracestate") for each in received] == ["vendor=1", None]
    assert {first.name, hit.name} == {"GET /{rest:path}"}
    shown = _attributes(hit)
    assert shown["http.route"] == "/{rest:path}"
    assert (shown["tenantry.cache"], _attributes(first)["tenantry.cache"]) == ("hit", "miss")
    assert (shown["http.response.status_code"], _attributes(first)["tenantry.upstream"]) == ("200", "echo")
    assert "/a" not in shown.values()


def test_a_failure_is_one_in_the_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """The code that the caller gets, and what the upstream answers itself."""
    pytest.importorskip("opentelemetry.sdk")
    script = answering(b"HTTP/1.1 503 Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    with _collector() as (url, bodies):
        monkeypatch.setenv(_ENDPOINT, url)
        with scripted(script) as upstream:
            assert _asked(upstream, {_ENDPOINT: url}, b"")[0].status == 503
        assert _asked(upstream, {_ENDPOINT: url}, b"")[0].status == 502
    down, gone = _spans(bodies)
    assert (down.status.code, gone.status.code) == (2, 2)
    assert _attributes(down)["http.response.status_code"] == "503"
    assert _attributes(gone)["error.type"] == "upstream_error"


@pytest.mark.parametrize(
    ("environment", "configured"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "x"}, False),
        ({_ENDPOINT: "http://c:4318"}, True),
        ({_ENDPOINT: ""}, False),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
        ({_ENDPOINT: "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({_ENDPOINT: "http://c:4318", "OTEL_SDK_DISABLED": "TRUE"}, False),
    ],
)
def test_spans_are_off_unless_the_variables_ask_for_them(environment: dict[str, str], *, configured: bool) -> None:
    assert is_configured(environment) is configured
    if not configured:
        assert spans_of(environment) is None


@pytest.mark.parametrize("protocol", [{"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, {"OTEL_TRACES_EXPORTER": "zipkin"}, {}])
def test_what_cannot_be_exported_stops_no_gateway(monkeypatch: pytest.MonkeyPatch, protocol: dict[str, str]) -> None:
    """A variable that a platform sets for all containers, with an exporter or without the packages of the extra."""
    if not protocol:
        monkeypatch.setitem(sys.modules, "gateway.proxy.otel", None)
    assert spans_of({_ENDPOINT: "http://127.0.0.1:1"} | protocol) is None
