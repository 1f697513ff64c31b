"""One request and its response: the context that the gate creates, with a ``send`` that tracks the response."""

from collections.abc import Awaitable
from dataclasses import dataclass

from starlette.types import Message, Receive, Scope, Send

from gateway.gate.request_id import RequestIds
from gateway.request.client import PROXIED, WHOLE_BODY
from gateway.request.context import Closer, RequestContext
from gateway.request.fields import FIELDS, RequestFields
from gateway.request.source import SourceReader


@dataclass(frozen=True, slots=True)
class Shared:
    """What all exchanges of a gate share."""

    ids: RequestIds
    source: SourceReader
    closers: tuple[Closer, ...]


class Exchange(RequestContext):
    """The only wrapper of ``send``. Closers are called once, before the last byte of the response is sent.

    Those of the delivery follow when ``send`` returns, which the HTTP/1.1 server does when the kernel has the response.
    """

    __slots__ = ("_send", "ended", "status")

    def __init__(self, scope: Scope, receive: Receive, send: Send, shared: Shared) -> None:
        fields: RequestFields = scope.get(FIELDS) or RequestFields.of(scope["headers"])  # from the server
        source = fields.source
        if source is None:
            source = fields.source = shared.source(scope)
        super().__init__(scope, fields, receive, shared.ids.next(), source)
        self.closers = shared.closers  # shared by all requests that add none
        self._send = send
        self.status = 0  # before the response begins
        self.ended = False

    def send(self, message: Message) -> Awaitable[None]:
        """Send a message; the first one gets the request id and the headers of the stages. To be awaited."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self.late_headers is not None:
                self.response_headers += self.late_headers(self)
            own = [*self.response_headers, (b"x-request-id", self.request_id.encode())]
            rendered = message.get(PROXIED, True) is not True
            message["headers"] = own if rendered else [*message["headers"], *own]
            last = WHOLE_BODY in message
        else:
            last = not message.get("more_body", False)
        if last and not self.ended:
            self.end(self.status)
            if self.delivery_closers:
                return self._deliver(message)
        return self._send(message)

    async def _deliver(self, message: Message) -> None:
        await self._send(message)
        self.delivered()

    def delivered(self) -> None:
        """The response has left, or never will: call the closers that wait for that."""
        closers, self.delivery_closers = self.delivery_closers, ()
        for closer in closers:
            closer(self, self.status)

    def end(self, status: int = 0) -> None:
        """The request has ended; ``status`` is 0 when it was cut short or cancelled."""
        self.ended = True
        for closer in self.closers:
            closer(self, status)
