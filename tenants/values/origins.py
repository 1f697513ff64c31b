"""Origins of web pages, in the one form in which browsers send them: scheme, host, and a port if it is not the scheme's
own (RFC 6454 section 6.2). An origin is compared as a whole: there are no wildcards.
"""

import re
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated

from pydantic import AfterValidator, Field

from tenants.values.errors import BadValue, with_pydantic_errors

_ORIGIN = re.compile(r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::(?P<port>[0-9]{1,5}))?", re.ASCII)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_OWN_PORTS = {"https": 443, "http": 80}
_THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "[::1]"})
_LONGEST_HOST = 253  # characters
_LONGEST = 270
_LAST_PORT = 65_535


def read_origin(text: str) -> str:
    """The canonical form of an origin: ``https://App.Example.com:443`` is ``https://app.example.com``.

    ``http`` is for pages on the developer's own machine, such as http://localhost:3000. Raises BadValue.
    """
    match = _ORIGIN.fullmatch(text.lower()) if text.isascii() else None
    host = canonical_host(match["host"]) if match else None
    if match is None or host is None:
        message = "Must be an origin, such as https://app.example.com: scheme, host and port, without path or wildcard."
        raise BadValue("bad_origin", message)
    scheme, port = match["scheme"], int(match["port"] or _OWN_PORTS[match["scheme"]])
    if not 0 < port <= _LAST_PORT:
        raise BadValue("bad_origin", f"The port must be a number from 1 to {_LAST_PORT}.")
    if scheme == "http" and host not in _THIS_MACHINE:
        raise BadValue("insecure_origin", "Must begin with https://; http:// is for localhost only.")
    return f"{scheme}://{host}" if port == _OWN_PORTS[scheme] else f"{scheme}://{host}:{port}"


def canonical_host(host: str) -> str | None:
    """The one spelling of a host in lower case; None for what is no host.

    A host whose last label is a number is an IPv4 address (WHATWG URL, "host parsing").
    """
    try:
        if host.startswith("["):
            return f"[{IPv6Address(host[1:-1])}]"
        labels = host.split(".")
        if _NUMBER.fullmatch(labels[-1]):
            return str(IPv4Address(host))
    except ValueError:
        return None
    return host if len(host) <= _LONGEST_HOST and all(map(_LABEL.fullmatch, labels)) else None


# In a model: the canonical form.
OriginText = Annotated[
    str,
    Field(max_length=_LONGEST, examples=["https://app.example.com"]),
    AfterValidator(with_pydantic_errors(read_origin)),
]
