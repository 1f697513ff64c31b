"""Refuses requests that are not framed as RFC 9112 says, as far as an ASGI application can see (PX5, PX7).

What the server's parser has already folded away (obs-fold, bare LF, absolute-form) is refused where the bytes arrive.
"""

import re
from collections.abc import Collection
from functools import lru_cache
from itertools import chain

from gateway.errors import HeadersTooLarge, MalformedRequest, UriTooLong
from gateway.request_context import Header, RequestContext

MOST_FIELDS = 100
MOST_HEADER_BYTES = 32_768
MOST_URL_BYTES = 8_192

_CONTROL = bytes(each for each in (*range(32), 127) if each != ord("\t"))
_TEXT_CONTROL = dict.fromkeys((*range(32), 127))
_HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_SINGLE = frozenset({b"host", b"content-length", b"transfer-encoding", b"content-type"})
_CLOSE = (b"connection", b"close")


class FramingStage:
    """Raises MalformedRequest, UriTooLong or HeadersTooLarge; the connection is then closed, whatever is left on it."""

    def __init__(self, hosts: Collection[str] = ()) -> None:
        self._hosts = frozenset(host.lower() for host in hosts)  # empty is any
        self._accepts = lru_cache(maxsize=1024)(self._accepts_host)

    def __call__(self, request: RequestContext) -> None:
        try:
            self._check(request)
        except (MalformedRequest, UriTooLong, HeadersTooLarge):
            request.response_headers.append(_CLOSE)
            raise

    def _check(self, request: RequestContext) -> None:
        scope, fields = request.scope, request.fields
        headers: list[Header] = scope["headers"]
        if len(headers) > MOST_FIELDS:
            raise HeadersTooLarge
        _check_bytes(b"".join(chain.from_iterable(headers)))
        if request.repeated:
            _check_repeated(headers)
        if not self._accepts(fields.get(b"host", b"")):
            raise MalformedRequest(detail="Host is missing, is not a host, or is not one of ours")
        if b"transfer-encoding" in fields or b"content-length" in fields:
            _check_length(fields.get(b"transfer-encoding"), fields.get(b"content-length"))
        _check_url(scope["raw_path"], scope["query_string"], scope["path"])

    def _accepts_host(self, host: bytes) -> bool:
        if _HOST.fullmatch(host) is None:
            return False
        name = re.sub(r":[0-9]+\Z", "", host.decode("ascii").lower())
        return not self._hosts or name in self._hosts


def _check_bytes(block: bytes) -> None:
    if len(block) > MOST_HEADER_BYTES:
        raise HeadersTooLarge
    if len(block.translate(None, _CONTROL)) != len(block):
        raise MalformedRequest(detail="control byte in a header field")


def _check_repeated(headers: list[Header]) -> None:
    names = [name for name, _ in headers]
    for name in _SINGLE:
        if names.count(name) > 1:
            raise MalformedRequest(detail=f"more than one {name.decode('ascii')}")


def _check_length(coding: bytes | None, length: bytes | None) -> None:
    if coding is not None and length is not None:
        raise MalformedRequest(detail="Transfer-Encoding with Content-Length")  # RFC 9112 section 6.3: smuggling
    if coding is not None and coding.lower() != b"chunked":
        raise MalformedRequest(detail="unknown transfer coding")
    if length is not None and not (length.isdigit() and len(length) <= 18):  # noqa: PLR2004 - fits 64 bits
        raise MalformedRequest(detail="Content-Length is not a number")


def _check_url(raw_path: bytes, query: bytes, path: str) -> None:
    if len(raw_path) + len(query) > MOST_URL_BYTES:
        raise UriTooLong
    # A decoded control byte would reach templates, logs and PostgreSQL, which refuses NUL with an error of its own.
    if b"%" in raw_path and path.translate(_TEXT_CONTROL) != path:
        raise MalformedRequest(detail="control byte in the path")
    if b"%00" in query:
        raise MalformedRequest(detail="NUL in the query")
