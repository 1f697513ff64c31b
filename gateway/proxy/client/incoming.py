"""The body of a response: finds its end (RFC 9112 sections 6 and 7), and holds what was not read yet."""

import sys
from collections.abc import Callable
from time import monotonic
from typing import Final

from gateway.http1.request_body import ChunkedBody, DeclaredBody
from gateway.http1.request_head import CHUNKED
from gateway.http1.rules import UnreadableRequest
from gateway.problems.errors import HeadersTooLarge, PayloadTooLarge
from gateway.proxy.client.errors import BadResponse

MOST_BUFFERED: Final = 131_072  # bytes of a body that nothing has read; the read that exceeds it adds at most 256 KB
_MOST_FRAMING: Final = 49_152  # bytes of chunk framing at once and in a second, beside an eighth of the payload


class ChunkedResponse(ChunkedBody):
    """Of any length: a stream of events has small chunks for hours. What is bounded is the framing in a time.

    Each chunk takes 4 µs: without a bound, one read of chunks of one byte holds the event loop for 170 ms (LD1).
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        super().__init__(sys.maxsize)
        self._clock = clock
        self._fed = clock()
        self._framing_left = _MOST_FRAMING

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Split ``data`` into payload and the bytes after the end. Raises BadResponse."""
        before, self._fed = self._fed, self._clock()
        refill = int((self._fed - before) * _MOST_FRAMING)
        self._framing_left = min(self._framing_left + refill, _MOST_FRAMING)
        self._remaining = sys.maxsize
        try:
            return super().feed(data)
        except UnreadableRequest as error:
            raise BadResponse(error.rule.name.lower()) from None
        except HeadersTooLarge:
            raise BadResponse("trailer") from None
        except PayloadTooLarge:  # or a size beyond 2**63
            raise BadResponse("chunk_framing" if self._framing_left < 0 else "chunk_size") from None


class EndlessBody:
    """A body that ends with the connection."""

    ended = False

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """All of it is payload."""
        return data, b""


class Incoming:
    """A body as it comes in. ``paused``: too much of it was not read yet."""

    def __init__(self) -> None:
        self.paused = False
        self._body: DeclaredBody | ChunkedResponse | EndlessBody = EndlessBody()
        self._pieces: list[bytes] = []
        self._size = 0

    def begin(self, length: int | None) -> None:
        """A body of this length."""
        if length is None:
            self._body = EndlessBody()
        else:
            self._body = ChunkedResponse() if length == CHUNKED else DeclaredBody(length)

    def feed(self, data: bytes) -> bytes:
        """Hold what belongs to the body. The bytes after its end. Raises BadResponse."""
        payload, extra = self._body.feed(data)
        if payload:
            self._pieces.append(payload)
            self._size += len(payload)
        return extra

    @property
    def ended(self) -> bool:
        """The end of the body was found."""
        return self._body.ended

    @property
    def is_endless(self) -> bool:
        """Only the end of the connection ends the body."""
        return isinstance(self._body, EndlessBody)

    @property
    def size(self) -> int:
        """Bytes held."""
        return self._size

    def take(self) -> bytes:
        """All that is held."""
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._size = 0
        return data
