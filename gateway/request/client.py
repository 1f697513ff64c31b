"""What the HTTP/1.1 server gives to an application of the gateway itself beyond ASGI: the client of one request."""

from collections.abc import Callable
from typing import Protocol

CLIENT = "tenantry.client"  # scope key of the Client
# Key of ``http.response.start``: the answer of an upstream, to which no default field is added but HSTS.
PROXIED = "tenantry.proxied"  # True, or the FieldBlock of exactly the message's headers
# Key of ``http.response.start``: the whole body, after which no message follows: two coroutines less.
WHOLE_BODY = "tenantry.whole_body"
# Key of the lifespan's state: a callable to which the server gives its open connections, once.
WATCH_CONNECTIONS = "tenantry.watch_connections"


class Client(Protocol):
    """The other end of one request. Nothing here waits."""

    disconnected: bool  # nothing can be written any more
    body_length: int  # bytes of the body that the head declares; 0 without one, -1 in chunks

    @property
    def left(self) -> bool:
        """The client has closed, or will at least send nothing more."""
        ...

    def stream_body(self, limit: int) -> None:
        """The body has at most ``limit`` bytes, in place of the server's bound, and is passed on while it arrives.

        What the application has taken is not held any more when it asks for the next part. To be called before the
        first part is taken. Raises PayloadTooLarge for a body that has announced more.
        """
        ...

    def whole_body(self) -> bytes | None:
        """The whole body, if it has arrived; None: ``receive`` must be awaited. To be called after ``stream_body``."""
        ...

    def on_disconnect(self, callback: Callable[[], None] | None) -> None:
        """Call ``callback`` once when the client goes; at once if it has gone. None: do not, as before the call.

        With a callback a half-close is a disconnect: the client has most likely closed, and an upstream works for it.
        The request may then also be ended because its credential has ended.
        """
        ...

    def on_shutdown(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once when the server waits for this request to stop; at once if it does already."""
        ...

    def cut_short(self, reason: str) -> None:
        """Close at once: the response looks incomplete. ``reason`` is for the log."""
        ...
