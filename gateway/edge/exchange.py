"""One request and its answer: the context that the gate opens, with a ``send`` that knows how far the answer got."""

from collections.abc import Callable, Sequence

from starlette.types import Message, Receive, Scope, Send

from gateway.edge.security_headers import SecurityHeaders
from gateway.request_context import RequestContext

Closer = Callable[[RequestContext, int], None]  # the status, 0 when the request ended without the end of an answer


class Exchange(RequestContext):
    """The only wrapper of ``send``. Closers are called once, before the last byte of the answer leaves."""

    __slots__ = ("_closers", "_headers", "_send", "ended", "status")

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        request_id: str,
        client: str,
        headers: SecurityHeaders,
        closers: Sequence[Closer],
    ) -> None:
        super().__init__(scope, receive, request_id, client)
        self._send = send
        self._headers = headers
        self._closers = closers
        self.status = 0  # nothing was sent yet
        self.ended = False

    async def answer(self) -> None:
        """Let the route answer. HEAD is shown to it as GET (RFC 9110 section 9.3.2), and the server drops the body."""
        if self.route is None:
            raise LookupError("no stage has found a route")
        scope = self.scope
        if scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}  # the server, which keeps the scope it made, still knows
        await self.route.app(scope, self.receive, self.send)

    async def send(self, message: Message) -> None:
        """Pass a message on: the first one gets the headers of every answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = [*message["headers"], (b"x-request-id", self.request_id.encode())]
            message["headers"] = self._headers.beside(own + self.response_headers)
        elif not message.get("more_body", False):
            self._end(self.status)
        await self._send(message)

    def close(self) -> None:
        """The request is over. Cut short, or cancelled, it was used all the same, and we failed."""
        if not self.ended:
            self._end(0)

    def _end(self, status: int) -> None:
        self.ended = True
        for closer in self._closers:
            closer(self, status)
