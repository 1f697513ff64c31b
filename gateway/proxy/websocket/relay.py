"""WebSockets of a route: opened like any request of it, then relayed until an end closes or the gateway must (PX12)."""

import asyncio
from collections.abc import Awaitable

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.gate.exchange import Exchange
from gateway.http1.cycle import RequestCycle
from gateway.proxy.attempts import Answer
from gateway.proxy.client.errors import UpstreamFailed
from gateway.proxy.errors import AnswerCutShort, UpstreamAnswerInvalid
from gateway.proxy.forwarder import Forwarder
from gateway.proxy.request_body import ClientLeft
from gateway.proxy.targets.outcomes import Outcome
from gateway.proxy.websocket.frames import CloseCode
from gateway.proxy.websocket.handshake import answer_fields, asks_for_websocket, fault_of, handshake_fields
from gateway.proxy.websocket.sockets import OpenSockets
from gateway.proxy.websocket.tunnel import CLOSED, STREAM, Tunnel
from gateway.request.client import CLIENT, PROXIED
from gateway.request.context import RequestContext, context_of
from tenants.routes.schemas import WebSocketSpec

_SWITCHING = 101


class WebSocketRelay:
    """Of one route that allows WebSockets."""

    def __init__(self, spec: WebSocketSpec, forwarder: Forwarder, sockets: OpenSockets) -> None:
        self._spec = spec
        self._forwarder = forwarder
        self._sockets = sockets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Open a WebSocket and relay it to its end. A refusal of the upstream passes as it is."""
        request = context_of(scope)
        client: RequestCycle = scope[CLIENT]
        fields = handshake_fields(request, client, self._spec)
        try:
            answer = await self._forwarder.open(request, client, receive, fields, upgrade=True)
            if answer.head.status != _SWITCHING:
                await self._forwarder.relay(request, answer, send)
                return
            fault = fault_of(answer.head, fields)
            if fault is not None:
                answer.connection.abort()
                answer.end(Outcome.INVALID)
                raise UpstreamAnswerInvalid(detail=f"{answer.target.name}: {fault}")
            await self._relay(scope, client, answer, send)
        except ClientLeft:
            request.log["client_left"] = True

    async def _relay(self, scope: Scope, client: RequestCycle, answer: Answer, send: Send) -> None:
        answer.attempt.answered()
        request, tunnel = context_of(scope), Tunnel(self._spec, asyncio.get_running_loop())
        try:
            fields = answer_fields(self._forwarder.fields_of(answer))
            await send({"type": "http.response.start", "status": _SWITCHING, "headers": fields, PROXIED: True})
            if client.disconnected:
                raise ClientLeft
            early = _connect(tunnel, client, answer)
            if isinstance(request, Exchange):
                request.end(_SWITCHING)  # it is counted now; permits are held until it is delivered, at the end
            scope[STREAM] = tunnel
            self._sockets.add(tunnel)
            try:
                await _run(tunnel, client, *early)
            finally:
                tunnel.abort("shutdown")  # cancelled; otherwise it has ended
                self._sockets.remove(tunnel)
                _log(request, tunnel)
                del scope[STREAM]  # breaks a reference cycle
        except UpstreamFailed as error:
            raise AnswerCutShort(detail=f"{answer.target.name}: {error}") from None
        finally:
            answer.end(Outcome.OK)


class Upgradable:
    """The application of a route that allows WebSockets: requests for one go to the relay, all others to ``inner``.

    Any other upgrade that a request offers is not taken up, and not forwarded (RFC 9110 section 7.8).
    """

    def __init__(self, inner: ASGIApp, relay: WebSocketRelay) -> None:
        self._inner = inner
        self._relay = relay

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        request = context_of(scope)
        if b"upgrade" in request.fields.by_name and asks_for_websocket(request):
            return self._relay(scope, receive, send)
        return self._inner(scope, receive, send)


def _connect(tunnel: Tunnel, client: RequestCycle, answer: Answer) -> tuple[bytes, bytes]:
    """One step, in which no event of a connection can be missed. Returns what both ends have sent already."""
    transport, from_upstream = answer.connection.detach()
    transport.set_protocol(tunnel.upstream)
    client.on_disconnect(None)
    taken = client.take_over(tunnel.client)
    tunnel.open(taken, transport)
    return from_upstream, taken.received


async def _run(tunnel: Tunnel, client: RequestCycle, from_upstream: bytes, from_client: bytes) -> None:
    tunnel.upstream.start(from_upstream)
    tunnel.client.start(from_client)
    client.on_shutdown(lambda: tunnel.end("shutdown", CloseCode.SERVICE_RESTART, "the server stops"))
    await tunnel.done


def _log(request: RequestContext, tunnel: Tunnel) -> None:
    request.log["messages_received"] = tunnel.client.reader.messages
    request.log["messages_sent"] = tunnel.upstream.reader.messages
    if tunnel.reason != CLOSED:
        request.log["cut_short"] = tunnel.reason
