"""The gate: request ids, headers, the access log, and the handling of errors."""

import asyncio
import time
from typing import Any
from uuid import RFC_4122

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.testing import CapturingLogger, capture_logs

from gateway.gate.access_log import AccessLog
from gateway.gate.gate import Gate, ResponseCutShortError
from gateway.gate.request_id import RequestIds
from gateway.problems.documents import Problems
from gateway.problems.errors import MalformedRequest
from gateway.request.context import CUT_SHORT, Closer, context_of
from gateway.request.source import SourceReader
from tenants.errors import NotFound, Unavailable
from tenants.identifiers import API_KEY, REQUEST, TENANT, TenantId, new_id, read, show
from tenants.principal import Principal, PrincipalKind, TenantRef, TenantStatus
from tests.asgi import HOST, call, http_scope, respond_ok, route_to

pytestmark = pytest.mark.anyio

_API_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


class CapturingGate(Gate):
    """A gate without stages, with a captured log."""

    def __init__(self, app: ASGIApp, *, template: str = "", share: float = 1.0) -> None:
        self.lines = CapturingLogger()
        super().__init__(
            app,
            stages=(route_to(app, template),),
            problems=Problems("https://gateway.test"),
            source=SourceReader(),
            access=AccessLog(self.lines, share),
        )

    @property
    def line(self) -> dict[str, Any]:
        """The fields of the log line of the one request."""
        (call,) = self.lines.calls
        return dict(call.kwargs)


def test_a_request_id_is_a_typed_id_that_sorts_by_time() -> None:
    source = RequestIds()
    ids = [source.next() for _ in range(5000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 5000
    for each in ids:
        value = read(REQUEST, each)
        assert value is not None
        assert show(REQUEST, value) == each
        assert (value.version, value.variant) == (7, RFC_4122)
        assert abs((value.int >> 80) - time.time_ns() // 1_000_000) < 60_000


def test_a_clock_that_is_set_back_repeats_no_id(monkeypatch: pytest.MonkeyPatch) -> None:
    source, milliseconds = RequestIds(), [5, 6, 5, 6, 4, 5, 6]
    moments = iter([each * 1_000_000 for each in milliseconds for _ in range(3)])
    monkeypatch.setattr("gateway.gate.request_id.time.time_ns", lambda: next(moments))
    ids = [source.next() for _ in range(3 * len(milliseconds))]
    assert len(set(ids)) == len(ids)


def test_ids_of_workers_are_distinct() -> None:
    """Also in the same millisecond."""
    workers = [RequestIds() for _ in range(50)]
    ids = [worker.next() for _ in range(100) for worker in workers]
    assert len(set(ids)) == len(ids)


async def test_every_response_has_a_new_request_id() -> None:
    """A client's id is not used: it could forge log lines."""
    scope = http_scope(headers=[HOST, (b"x-request-id", b"req_01h455vb4pex5vsknk084sn02q")])
    gate = CapturingGate(respond_ok)
    answer = await call(gate, scope)
    sent = answer.header("x-request-id")
    assert sent is not None
    assert read(REQUEST, sent)
    assert sent != "req_01h455vb4pex5vsknk084sn02q"
    assert gate.line["request_id"] == sent


async def test_headers_of_stages_are_added_to_those_of_the_response() -> None:
    async def page(scope: Scope, _receive: Receive, send: Send) -> None:
        context_of(scope).response_headers.append((b"ratelimit", b'"burst";r=9'))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"cache-control", b"max-age=60")]})
        await send({"type": "http.response.body", "body": b"page"})

    answer = await call(CapturingGate(page), http_scope())
    assert answer.header("ratelimit") == '"burst";r=9'
    assert answer.header("cache-control") == "max-age=60"


async def test_an_error_becomes_a_problem_document() -> None:
    async def refuses(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise MalformedRequest(detail="two Hosts")

    gate = CapturingGate(refuses)
    answer = await call(gate, http_scope())
    assert answer.status == 400
    assert answer.header("content-type") == "application/problem+json"
    assert answer.json()["code"] == "malformed_request"
    assert answer.json()["request_id"] == answer.header("x-request-id")
    assert (gate.line["status"], gate.line["code"], gate.line["detail"]) == (400, "malformed_request", "two Hosts")


async def test_a_crash_discloses_only_the_request_id() -> None:
    """SE2: not the exception's text and type, which are in the log under the same id."""

    async def crashes(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise RuntimeError("internal detail")

    gate = CapturingGate(crashes)
    with capture_logs() as logs:
        answer = await call(gate, http_scope())
    assert answer.status == 500
    assert b"internal detail" not in answer.body
    assert b"RuntimeError" not in answer.body
    assert answer.json()["code"] == "internal"
    assert [(each["event"], each["log_level"]) for each in logs] == [("request_failed", "error")]


async def test_a_crash_after_the_response_began_never_looks_complete() -> None:
    """PX9's rule for our own responses: the server aborts the connection, and no second response is sent."""

    async def crashes_midway(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError("lost the rest")

    gate = CapturingGate(crashes_midway)
    with capture_logs(), pytest.raises(ResponseCutShortError):
        await call(gate, http_scope())
    assert gate.line["cut_short"] is True


async def test_an_error_after_the_response_changes_nothing_for_the_caller() -> None:
    """Starlette raises an error again after its handler has sent the response."""

    async def fails_late(scope: Scope, receive: Receive, send: Send) -> None:
        await respond_ok(scope, receive, send)
        raise Unavailable

    answer = await call(CapturingGate(fails_late), http_scope())
    assert (answer.status, answer.body, answer.ended) == (200, b"ok", True)


async def test_the_log_line_has_principal_and_route_but_no_path_query_or_secret() -> None:
    """SE2."""
    key, tenant = new_id(), TenantId(new_id())
    reference = TenantRef(tenant, "acme", TenantStatus.ACTIVE, "t_1", "t_1", "free")

    async def answers(scope: Scope, receive: Receive, send: Send) -> None:
        context = context_of(scope)
        context.principal = Principal(PrincipalKind.API_KEY, key, reference, ("member",))
        context.log["upstream"] = "Bearer tn_live_0123456789abcdefghij"
        await respond_ok(scope, receive, send)

    gate = CapturingGate(answers, template="/v1/contacts/{id}")
    secret = b"tn_live_0123456789abcdefghijABCDEFGHIJ0123456"
    await call(
        gate, http_scope(path="/v1/contacts/secret-id", query=b"email=ada@x", headers=[HOST, (b"x-api-key", secret)])
    )
    line = gate.line
    assert line["route"] == "/v1/contacts/{id}"
    assert line["tenant_id"] == show(TENANT, tenant)
    assert line["api_key_id"] == show(API_KEY, key)
    assert (line["method"], line["status"], line["source"]) == ("GET", 200, "192.0.2.1")
    assert line["milliseconds"] >= 0
    for hidden in ("secret-id", "ada@x", "0123456789abcdef"):
        assert hidden not in repr(gate.lines.calls)


async def test_an_unmatched_path_is_not_logged() -> None:
    """SE2: clients put keys into paths."""

    async def unknown(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise NotFound

    gate = CapturingGate(unknown)
    await call(gate, http_scope(path="/v1/tn_live_0123456789abcdefghij"))
    assert gate.line["route"] is None
    assert "tn_live" not in repr(gate.lines.calls)


async def test_successful_requests_are_sampled_and_every_error_is_logged() -> None:
    """A line for every request costs more than the rest of the gate."""

    async def refuses(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise NotFound

    good, bad = CapturingGate(respond_ok, share=0.2), CapturingGate(refuses, share=0.0)
    for _ in range(500):
        await call(good, http_scope())
    await call(bad, http_scope())
    assert 30 < len(good.lines.calls) < 250
    assert bad.line["status"] == 404


async def test_every_closer_of_a_request_is_called_once_and_the_gates_last() -> None:
    """One stage's closer does not replace another's."""
    calls: list[tuple[str, int]] = []

    def closer(name: str) -> Closer:
        return lambda _request, status: calls.append((name, status))

    async def registers_two(scope: Scope, receive: Receive, send: Send) -> None:
        for name in ("first", "second"):
            context_of(scope).on_close(closer(name))
        await respond_ok(scope, receive, send)
        await send({"type": "http.response.body", "body": b""})

    gate = Gate(
        registers_two,
        stages=(route_to(registers_two),),
        closers=(closer("gate"),),
        problems=Problems("https://gateway.test"),
        source=SourceReader(),
        access=AccessLog(CapturingLogger()),
    )
    await call(gate, http_scope())
    assert calls == [("second", 200), ("first", 200), ("gate", 200)]
    await call(gate, http_scope())
    assert calls[3:] == calls[:3], "the next request has only the gate's"


async def _no_body() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def test_closers_of_the_delivery_follow_when_the_last_send_returns() -> None:
    """LD3: or when the request ends without a complete response; each is called once."""
    calls: list[str] = []

    async def answers(scope: Scope, receive: Receive, send: Send) -> None:
        context_of(scope).on_close(lambda _request, status: calls.append(f"closed {status}"))
        context_of(scope).on_delivered(lambda _request, status: calls.append(f"delivered {status}"))
        await respond_ok(scope, receive, send)
        calls.append("background work")

    async def slow_server(message: Message) -> None:
        await asyncio.sleep(0)
        calls.append(message["type"])

    scope = http_scope()
    await CapturingGate(answers)(scope, _no_body, slow_server)
    assert calls == ["http.response.start", "closed 200", "http.response.body", "delivered 200", "background work"]

    async def disconnects(_message: Message) -> None:
        raise ConnectionError

    calls.clear()
    with pytest.raises(ResponseCutShortError):
        await CapturingGate(answers)(http_scope(), _no_body, disconnects)
    assert [each for each in calls if each.startswith("delivered")] == ["delivered 200"]


async def test_a_response_that_was_cut_short_is_always_logged() -> None:
    """LD3: with the server's reason, though its status is 200."""

    async def answers(scope: Scope, receive: Receive, send: Send) -> None:
        await respond_ok(scope, receive, send)
        scope[CUT_SHORT] = "slow_reader"

    gate = CapturingGate(answers, share=0.0)
    await call(gate, http_scope())
    assert (gate.line["status"], gate.line["cut_short"]) == (200, "slow_reader")


async def test_head_is_handled_as_get_and_logged_as_head() -> None:
    """RFC 9110 section 9.3.2."""
    seen: list[str] = []

    async def answers(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["method"])
        await respond_ok(scope, receive, send)

    gate = CapturingGate(answers)
    await call(gate, http_scope("HEAD"))
    assert (seen, gate.line["method"]) == (["GET"], "HEAD")


async def test_a_cancelled_request_is_logged_and_stays_cancelled() -> None:
    """OP1: a shutdown is no error."""
    began = asyncio.Event()

    async def waits(_scope: Scope, _receive: Receive, _send: Send) -> None:
        began.set()
        await asyncio.Event().wait()

    gate = CapturingGate(waits)
    task = asyncio.create_task(call(gate, http_scope()))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gate.line["status"] == 0


async def test_a_websocket_cannot_bypass_the_stages() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def never(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise AssertionError("reached")

    await CapturingGate(never)({"type": "websocket", "path": "/", "headers": []}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]
