"""The header fields of a request, and what the stages have parsed from them."""

from dataclasses import dataclass
from typing import NamedTuple, Self

Field = tuple[bytes, bytes]

FIELDS = "tenantry.fields"  # scope key under which the HTTP/1.1 server stores the fields of a connection


class Credential(NamedTuple):
    """The one credential of a request."""

    sent: bytes  # the header values that carry it, unparsed
    text: bytes
    key: bytes  # SHA-256 of the text: the cache key


class ForwardedFields(NamedTuple):
    """The part of a request's head that is the same for each request with these fields to one proxied route."""

    lines: bytes  # complete header lines
    host: bytes | None  # the caller's, where the upstream gets it
    traced: bool  # ``lines`` has a traceparent


@dataclass(slots=True)
class RequestFields:
    """Header fields, shared by all requests of a connection that send exactly the same bytes, as most clients do.

    A stage stores here what it has parsed, so that the next request need not parse it again: the credential is hashed
    once for each connection. The object lives as long as the connection, and so do the secrets in it.
    """

    by_name: dict[bytes, bytes]  # the last value of each name
    repeated: bool  # some name occurs more than once, so ``by_name`` is incomplete
    source: str | None = None  # client address, as ``SourceReader`` has read it
    credential: Credential | None = None  # as ``read_credential`` has read it
    host: str | None = None  # the name in Host, as ``host_name`` has read it
    host_served: bool | None = None  # as the routing stage has found
    described: object = None  # the request that they describe, as ``gateway/decisions/described.py`` has read it
    caching: object = None  # as the response cache has read it
    forwarded: dict[object, ForwardedFields] | None = None  # by proxied route: what its upstream gets of them

    @classmethod
    def of(cls, headers: list[Field]) -> Self:
        """The fields of a new connection, nothing parsed yet."""
        by_name = dict(headers)
        return cls(by_name, repeated=len(by_name) != len(headers))
