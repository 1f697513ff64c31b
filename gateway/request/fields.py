"""The header fields of a request, and what was found in them."""

from dataclasses import dataclass
from typing import Any, Self

Field = tuple[bytes, bytes]

FIELDS = "tenantry.fields"  # of a scope: where the server, which knows a connection's fields again, puts them


@dataclass(slots=True)
class RequestFields:
    """The fields of all requests of one connection that carry exactly the same ones, as nearly all of a client's do.

    So whoever has read them may leave here what he found, and need not read them again: the credential is hashed once,
    and not for every request. It ends with the connection, as a memory of secrets should.
    """

    by_name: dict[bytes, bytes]  # the last of each name
    repeated: bool  # some name is there more than once: ``by_name`` is not all
    source: str | None = None  # the client's address, as the edge has read it
    credential: Any = None  # as identity has read it; its own

    @classmethod
    def of(cls, headers: list[Field]) -> Self:
        """Nothing is found yet."""
        by_name = dict(headers)
        return cls(by_name, repeated=len(by_name) != len(headers))
