"""The opening handshake (RFC 6455 section 4): what a client must send, and what an upstream must answer."""

import base64
import binascii
import hashlib
from collections.abc import Iterable

from starlette.types import Scope

from gateway.problems.errors import MalformedRequest, UpgradeRequired
from gateway.proxy.client.response_head import ResponseHead
from gateway.request.client import Client
from gateway.request.context import RequestContext
from gateway.request.fields import Field, RequestFields
from tenants.errors import Forbidden
from tenants.routes.schemas import WebSocketSpec

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY_SIZE = 16  # bytes
_VERSION = b"13"
_UPGRADE: tuple[Field, ...] = ((b"connection", b"Upgrade"), (b"upgrade", b"websocket"))
_ONCE = (b"sec-websocket-key", b"sec-websocket-version", b"origin")


class HandshakeInvalid(MalformedRequest):
    message = (
        "The WebSocket handshake is not valid. Send GET without a body and a Sec-WebSocket-Key of 16 random bytes."
    )


class OriginNotAllowed(Forbidden):
    message = "Pages of this origin may not open a WebSocket here."


def asks_for_websocket(request: RequestContext) -> bool:
    """Whether a request asks for a WebSocket. HTTP/1.0 cannot (RFC 9110 section 7.8)."""
    fields, scope = request.fields, request.scope
    if b"upgrade" not in fields.by_name or scope["http_version"] != "1.1":
        return False
    return b"websocket" in _tokens(fields, scope, b"upgrade") and b"upgrade" in _tokens(fields, scope, b"connection")


def handshake_fields(request: RequestContext, client: Client, spec: WebSocketSpec) -> tuple[Field, ...]:
    """The fields of the handshake for the upstream. No extension is offered to it, so that frames can be read.

    Raises HandshakeInvalid, UpgradeRequired and OriginNotAllowed.
    """
    sent, headers = request.fields.by_name, request.scope["headers"]
    if request.scope["method"] != "GET" or client.body_length:
        raise HandshakeInvalid(detail="not GET, or with a body")
    if request.fields.repeated and any([name for name, _ in headers].count(each) > 1 for each in _ONCE):
        raise HandshakeInvalid(detail="a field is repeated")
    if sent.get(b"sec-websocket-version") != _VERSION:
        raise UpgradeRequired
    key = sent.get(b"sec-websocket-key", b"")
    if not _is_key(key):
        raise HandshakeInvalid(detail="the key is not 16 bytes in Base64")
    check_origin(sent.get(b"origin"), spec)
    fields = (*_UPGRADE, (b"sec-websocket-version", _VERSION), (b"sec-websocket-key", key))
    protocols = _list(value for name, value in headers if name == b"sec-websocket-protocol")
    return (*fields, (b"sec-websocket-protocol", b", ".join(protocols))) if protocols else fields


def check_origin(origin: bytes | None, spec: WebSocketSpec) -> None:
    """Raise OriginNotAllowed for a page that the route does not name. Programs send no Origin."""
    if origin is None or spec.any_origin:
        return
    if origin.decode("latin-1") not in {str(each) for each in spec.origins}:
        raise OriginNotAllowed(detail="an origin that the route does not name")


def fault_of(head: ResponseHead, asked: Iterable[Field]) -> str | None:
    """What is wrong with an answer of status 101; None for a good one (RFC 6455 section 4.1)."""
    sent, got = dict(asked), dict(head.fields)
    if got.get(b"upgrade", b"").lower() != b"websocket" or b"upgrade" not in got.get(b"connection", b"").lower():
        return "another protocol"
    if got.get(b"sec-websocket-accept") != accept_of(sent[b"sec-websocket-key"]):
        return "Sec-WebSocket-Accept is wrong"
    if b"sec-websocket-extensions" in got:
        return "an extension that was not offered"
    protocol = got.get(b"sec-websocket-protocol")
    if protocol is not None and protocol not in _list([sent.get(b"sec-websocket-protocol", b"")]):
        return "a subprotocol that was not offered"
    return None


def answer_fields(fields: Iterable[Field]) -> list[Field]:
    """The fields of the answer for the client, without those of a body."""
    return [*(field for field in fields if field[0] != b"content-length"), *_UPGRADE]


def accept_of(key: bytes) -> bytes:
    """The answer to a key: RFC 6455 section 4.2.2."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


def _is_key(key: bytes) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == _KEY_SIZE
    except binascii.Error:
        return False


def _tokens(fields: RequestFields, scope: Scope, name: bytes) -> list[bytes]:
    headers: list[Field] = scope["headers"]
    values = [value for each, value in headers if each == name] if fields.repeated else [fields.by_name.get(name, b"")]
    return [each.lower() for each in _list(values)]


def _list(values: Iterable[bytes]) -> list[bytes]:
    return [each.strip(b"\t ") for value in values for each in value.split(b",") if each.strip(b"\t ")]
