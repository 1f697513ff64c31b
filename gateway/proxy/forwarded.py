"""Who sent a request and how, for the upstream: ``X-Forwarded-*`` and ``Forwarded`` (RFC 7239), as it is believed.

What the client wrote into these fields is dropped, unless the peer is a trusted proxy. One address is sent, never a
list: an upstream that reads a list from either end finds the same one.
"""

from ipaddress import IPv6Address

from starlette.types import Scope

from gateway.http1.header_fields import is_valid_host
from gateway.request.fields import Field, RequestFields
from gateway.request.source import UNKNOWN, SourceReader, parse_address

_SCHEMES = frozenset({b"http", b"https"})
_PORTS = {b"http": b"80", b"https": b"443"}


class ClientFields:
    """Reads what is believed by the proxies that ``source`` trusts."""

    def __init__(self, source: SourceReader) -> None:
        self._source = source

    def __call__(self, scope: Scope, fields: RequestFields, client: str) -> list[Field]:
        """The fields for an upstream; ``client`` is the believed source address."""
        trusted = self._trusts_peer(scope)
        scheme = self._scheme(scope, fields, trusted=trusted)
        host = self._host(fields, trusted=trusted)
        element = [b"for=%b" % _node(client), *([b'host="%b"' % host] if host else []), b"proto=%b" % scheme]
        found = [(b"x-forwarded-proto", scheme), (b"forwarded", b";".join(element))]
        if client != UNKNOWN:
            found.append((b"x-forwarded-for", client.encode("ascii", "replace")))
        if host:
            found.append((b"x-forwarded-host", host))
        found.append((b"x-forwarded-port", self._port(fields, scheme, host, trusted=trusted)))
        return found

    def _trusts_peer(self, scope: Scope) -> bool:
        peer: tuple[str, int] | None = scope.get("client")
        if not peer or parse_address(peer[0]) is None:
            return False
        return self._source.of_peer(peer[0]) is None

    def _scheme(self, scope: Scope, fields: RequestFields, *, trusted: bool) -> bytes:
        sent = _last(fields.by_name.get(b"x-forwarded-proto")).lower() if trusted else b""
        own: str = scope["scheme"]
        return sent if sent in _SCHEMES else own.encode("ascii")

    def _host(self, fields: RequestFields, *, trusted: bool) -> bytes:
        sent = _last(fields.by_name.get(b"x-forwarded-host")) if trusted else b""
        return sent if sent and is_valid_host(sent) else fields.by_name.get(b"host", b"")

    def _port(self, fields: RequestFields, scheme: bytes, host: bytes, *, trusted: bool) -> bytes:
        sent = _last(fields.by_name.get(b"x-forwarded-port")) if trusted else b""
        if sent.isdigit() and len(sent) <= len("65535"):
            return sent
        port = host[host.rfind(b"]") + 1 :].partition(b":")[2]
        return port or _PORTS.get(scheme, b"80")


def _last(value: bytes | None) -> bytes:
    """What the nearest proxy has added to a list."""
    return b"" if value is None else value.rpartition(b",")[2].strip(b"\t ")


def _node(client: str) -> bytes:
    """RFC 7239 section 6: an IPv6 address in brackets and quotes."""
    address = parse_address(client)
    if address is None:
        return b"unknown"
    return f'"[{address}]"'.encode() if isinstance(address, IPv6Address) else str(address).encode()
