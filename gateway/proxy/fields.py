"""Which header fields pass between clients and upstreams, and which never do (PX3, PX4, PX5).

Names are compared in a plain form in which every character but letters and digits is a hyphen: CGI, WSGI and PHP read
``tenantry_identity`` and ``Tenantry.Identity`` as the same variable as ``Tenantry-Identity``.
"""

from collections.abc import Collection, Iterable

from gateway.request.fields import Field

IDENTITY = b"tenantry-identity"

# RFC 9110 section 7.6.1, RFC 9112 appendix C.2.2, and what concerns one connection alone.
_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
        b"content-length",  # set anew, from the framing that was read
    }
)
_PROXY = (b"proxy-", b"tenantry-")  # ``Proxy-Authorization`` and the like; ours in every form
_NEVER_SENT_ON = frozenset(
    {
        *_HOP_BY_HOP,
        b"proxy",  # CGI programs take it for the variable HTTP_PROXY (CVE-2016-5385)
        b"expect",  # answered by the gateway
        b"max-forwards",
        b"host",
        b"via",
        b"forwarded",
        b"x-real-ip",
        b"x-request-id",
        # The credential (PX4).
        b"authorization",
        b"x-api-key",
        # Client addresses as other proxies write them: the one that is believed is in X-Forwarded-For.
        b"x-client-ip",
        b"x-cluster-client-ip",
        b"true-client-ip",
        b"cf-connecting-ip",
        b"fastly-client-ip",
        # Frameworks take these for the path or the method: another than was authorized (PX6).
        b"x-original-url",
        b"x-original-uri",
        b"x-original-method",
        b"x-rewrite-url",
        b"x-http-method",
        b"x-http-method-override",
        b"x-method-override",
    }
)
_NEVER_SENT_ON_BEGINNINGS = (*_PROXY, b"x-forwarded-", b"ratelimit", b"sec-websocket-")  # upgrades add the last
_NEVER_SENT_BACK = frozenset(
    {
        *_HOP_BY_HOP,
        b"via",
        b"x-request-id",
        b"alt-svc",  # would lead clients of this host around the gateway
        # Orders to a server in front, which would send a file of its own.
        b"x-accel-redirect",
        b"x-sendfile",
        b"x-lighttpd-send-file",
        b"x-reproxy-url",
    }
)
_NEVER_SENT_BACK_BEGINNINGS = (*_PROXY, b"ratelimit")
_PLAIN = bytes(
    each if chr(each).isalnum() and each < 128 else ord("-")  # noqa: PLR2004 - ASCII
    for each in bytes(range(256)).lower()
)


def plain_name(name: bytes) -> bytes:
    """The form in which names are compared."""
    return name.translate(_PLAIN)


def sent_on(fields: Iterable[Field], dropped: Collection[bytes]) -> list[Field]:
    """The fields of a request that its upstream gets; ``dropped`` are further plain names."""
    return _passing(fields, dropped, _NEVER_SENT_ON, _NEVER_SENT_ON_BEGINNINGS)


def sent_back(fields: Iterable[Field], dropped: Collection[bytes], beginnings: tuple[bytes, ...] = ()) -> list[Field]:
    """The fields of an answer that its client gets; ``beginnings`` of plain names are dropped too."""
    return _passing(fields, dropped, _NEVER_SENT_BACK, (*_NEVER_SENT_BACK_BEGINNINGS, *beginnings))


def _passing(
    fields: Iterable[Field], dropped: Collection[bytes], never: frozenset[bytes], beginnings: tuple[bytes, ...]
) -> list[Field]:
    fields = list(fields)
    options = _connection_options(fields)
    passing: list[Field] = []
    for name, value in fields:
        plain = plain_name(name)
        if not (plain in never or plain in dropped or plain in options or plain.startswith(beginnings)):
            passing.append((name, value))
    return passing


def _connection_options(fields: Iterable[Field]) -> frozenset[bytes]:
    """The names that Connection lists: fields for the next hop alone. What we set comes after, and is none of them."""
    values = [value for name, value in fields if name == b"connection"]
    return frozenset(plain_name(option.strip(b"\t ")) for value in values for option in value.split(b","))


def is_settable(name: bytes) -> bool:
    """Whether a route's own rules may set a request's field: not framing, and nothing that the gateway says itself."""
    plain = plain_name(name)
    if plain in {b"authorization", b"x-api-key"}:  # the gateway's credential at the upstream
        return True
    return not (plain in _NEVER_SENT_ON or plain.startswith(_NEVER_SENT_ON_BEGINNINGS))


def is_settable_in_answers(name: bytes) -> bool:
    """The same for an answer's field."""
    plain = plain_name(name)
    return not (plain in _NEVER_SENT_BACK or plain.startswith(_NEVER_SENT_BACK_BEGINNINGS))
