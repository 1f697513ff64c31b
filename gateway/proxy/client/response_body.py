"""Finds the end of a response's body (RFC 9112 sections 6 and 7)."""

import sys

from gateway.http1.request_body import ChunkedBody, DeclaredBody
from gateway.http1.request_head import CHUNKED
from gateway.http1.rules import UnreadableRequest
from gateway.problems.errors import HeadersTooLarge, PayloadTooLarge
from gateway.proxy.client.errors import BadResponse


class ChunkedResponse(ChunkedBody):
    """Of any length, in chunks of any size: a stream of events has tiny ones for hours."""

    def __init__(self) -> None:
        super().__init__(sys.maxsize)

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Split ``data`` into payload and the bytes after the end. Raises BadResponse."""
        self._remaining = self._framing_left = sys.maxsize
        try:
            return super().feed(data)
        except UnreadableRequest as error:
            raise BadResponse(error.rule.name.lower()) from None
        except HeadersTooLarge:
            raise BadResponse("trailer") from None
        except PayloadTooLarge:  # a size beyond 2**63
            raise BadResponse("chunk_size") from None


class EndlessBody:
    """A body that ends with the connection."""

    ended = False

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """All of it is payload."""
        return data, b""


ResponseBody = DeclaredBody | ChunkedResponse | EndlessBody


def body_of(length: int | None) -> ResponseBody:
    """The reader of a body with this length."""
    if length is None:
        return EndlessBody()
    return ChunkedResponse() if length == CHUNKED else DeclaredBody(length)
