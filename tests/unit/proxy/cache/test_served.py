"""The cache between the gateway's own server and real upstreams: what only sockets show."""

import logging
import socket
import struct
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from threading import Event
from typing import Any

import pytest

from gateway.proxy.cache.route import with_cache
from gateway.proxy.cache.store import ResponseCache
from gateway.proxy.forwarded import ClientFields
from gateway.request.source import SourceReader
from tests.fixtures.principals import principal_of_key
from tests.fixtures.proxied import ProxiedServer, ScriptedUpstream, answering, proxied, scripted
from tests.raw_http import RawResponse, connected
from tests.unit.proxy.cache.worlds import Channel

_REQUEST = b"GET /a HTTP/1.1\r\nHost: gate.test\r\n%b\r\n"


def _cached(upstream: ScriptedUpstream, **route: Any) -> AbstractContextManager[ProxiedServer]:
    channel, fields = Channel(), ClientFields(SourceReader())
    cache = ResponseCache(67_108_864, channel, fields)
    return proxied(
        upstream, wrap=lambda spec, inner: with_cache(inner, spec, cache, invalidates=False), cache={}, **route
    )


def _answer(*lines: bytes, body: bytes = b"ok") -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n" % len(body)
    return head + b"".join(each + b"\r\n" for each in lines) + b"\r\n" + body


def _ask(gateway: ProxiedServer, lines: bytes = b"") -> RawResponse:
    with connected(gateway.port) as client:
        client.send(_REQUEST % lines)
        return client.response()


def test_a_stored_answer_is_the_upstreams(caplog: pytest.LogCaptureFixture) -> None:
    """OB3: its own Date and fields, no default fields of ours, in the log as a hit."""
    date = b"Date: Tue, 15 Nov 2089 08:12:31 GMT"
    script = answering(_answer(date, b"Cache-Control: max-age=60", b"X-Own: 1"))
    with scripted(script) as upstream, _cached(upstream) as gateway:
        first, hit = _ask(gateway), _ask(gateway)
        assert len(upstream.requests) == 1
        assert (hit.body, hit.headers["cache-status"][:13]) == (b"ok", "tenantry; hit")
        assert {*hit.headers} - {*first.headers} == {"age"}
        assert hit.headers["date"] == "Tue, 15 Nov 2089 08:12:31 GMT"
        assert "content-security-policy" not in hit.headers
        assert [line["cache"] for line in gateway.lines] == ["miss", "hit"]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_an_answer_whose_cookie_is_dropped_is_not_stored() -> None:
    """The route forwards no cookies, but the answer was made for one caller."""
    script = answering(_answer(b"Cache-Control: public, max-age=60", b"Set-Cookie: a=b"))
    with scripted(script) as upstream, _cached(upstream) as gateway:
        answers = [_ask(gateway), _ask(gateway)]
    assert len(upstream.requests) == 2
    assert "set-cookie" not in answers[1].headers


def test_two_callers_on_one_connection_have_answers_of_their_own() -> None:
    """IS1: the fields of a connection are parsed once, and whose request it is each time."""
    script = answering(_answer(b"Cache-Control: max-age=60"))
    with scripted(script) as upstream, _cached(upstream) as gateway, connected(gateway.port) as client:
        for caller in (principal_of_key(), principal_of_key(roles=("other",))):
            gateway.caller.principal = caller
            for _ in range(2):
                client.send(_REQUEST % b"")
                assert client.response().status == 200
    assert len(upstream.requests) == 2


def test_a_flood_of_misses_is_one_request_though_its_client_leaves() -> None:
    """50 connections; the first one is reset while the upstream works."""
    release, asked = Event(), Event()

    def script(visit: Any) -> None:
        while visit.request() is not None:
            asked.set()
            release.wait(10)
            visit.send(_answer(b"Cache-Control: max-age=60"))
            visit.next()

    with scripted(script) as upstream, _cached(upstream) as gateway, ThreadPoolExecutor(50) as pool:
        with connected(gateway.port) as first:
            first.send(_REQUEST % b"")
            assert asked.wait(10)
            others = [pool.submit(_ask, gateway) for _ in range(49)]
            assert gateway.http1.wait_until(lambda: len(gateway.http1.connections) >= 50)
            first.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert gateway.http1.wait_until(lambda: len(gateway.http1.connections) < 50)
        release.set()
        answers = [each.result(10) for each in others]
    assert {(each.status, each.body) for each in answers} == {(200, b"ok")}
    assert len(upstream.requests) == 1


def test_the_upstream_stops_when_no_client_waits() -> None:
    """PX9: the only client leaves, and the connection to the upstream is closed."""
    closed, asked = Event(), Event()

    def script(visit: Any) -> None:
        visit.request()
        asked.set()
        if visit.wait_until_closed():
            closed.set()

    with scripted(script) as upstream, _cached(upstream) as gateway:
        with connected(gateway.port) as client:
            client.send(_REQUEST % b"")
            assert asked.wait(10)
        assert closed.wait(10)


def test_an_upstream_that_is_gone_leaves_the_stale_answer() -> None:
    """RFC 5861 section 4: 502 without it."""
    lines = b"Cache-Control: max-age=0, stale-if-error=60", b'ETag: "1"', b"Connection: close"
    with scripted(answering(_answer(*lines))) as upstream, _cached(upstream, retries=0) as gateway:
        assert _ask(gateway).body == b"ok"
        upstream.stop()
        stale = _ask(gateway)
        assert (stale.status, stale.body) == (200, b"ok")
        assert stale.headers["cache-status"] == "tenantry; fwd=stale"
        assert _ask(gateway, b"Cache-Control: no-cache\r\n").status == 502
