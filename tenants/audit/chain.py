"""The chain of a tenant's events: the hash of each covers all its columns and the hash of the one before (AU2).

``tenantry.number_events`` makes it in the database (control revision 0017); here it is computed again, from the stored
columns, so that a check trusts no hash that the database computed. The rule, for programs that check an export:

    hash(n) = SHA-256(hash(n - 1) + content(n)),  hash(0) = SHA-256("tenantry audit 1 " + id of the tenant as a UUID)

The operators' log follows the same rule with ``OPERATORS_HASHED`` and hash(0) = SHA-256("tenantry operator audit 1");
``tenantry.record_operator_event`` makes it (control revision 0030).

``content`` is UTF-8: the sequence, then ``HASHED`` in that order, each as ``<length in characters>:<text>``, and ``-``
for null. Times are microseconds since 1970, JSON is as PostgreSQL writes jsonb.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from tenants.identifiers import TenantId

HASHED = (
    "id",
    "category",
    "type",
    "object_id",
    "actor_kind",
    "actor_id",
    "request_id",
    "source",
    "reason",
    "before",
    "after",
    "created_at",
)
OPERATORS_HASHED = (
    *("id", "action", "object", "actor_kind", "actor_id"),
    *("request_id", "source", "reason", "before", "after", "created_at"),
)
OPERATORS_START = sha256(b"tenantry operator audit 1").digest()


class ChainedRow(NamedTuple):
    """An event as it is checked. ``content`` has the texts of ``HASHED``, or ``OPERATORS_HASHED``."""

    sequence: int
    hash: bytes | None
    content: Sequence[str | None]

    @property
    def id(self) -> str:
        """The event's id, as a UUID."""
        return str(self.content[0])


def genesis(tenant: TenantId) -> bytes:
    """What the first hash of a tenant's chain follows from: no chain can be taken for another tenant's."""
    return sha256(f"tenantry audit 1 {tenant}".encode()).digest()


def next_hash(previous: bytes, sequence: int, content: Sequence[str | None]) -> bytes:
    """The hash of the event with this content."""
    texts = (str(sequence), *content)
    joined = "".join(["-" if text is None else f"{len(text)}:{text}" for text in texts])
    return sha256(previous + joined.encode()).digest()
