"""Typed, sortable ids: a UUIDv7 in the database, a TypeID (``tnt_01h…``) everywhere a person can see it.

Source: RFC 9562 section 5.7 (UUIDv7) and the TypeID specification 0.3.
"""

from typing import NewType
from uuid import UUID

from typeid import TypeID
from typeid.codecs.base32 import encode
from typeid.errors import TypeIDException
from uuid_utils.compat import uuid7

TenantId = NewType("TenantId", UUID)
UserId = NewType("UserId", UUID)
ApiKeyId = NewType("ApiKeyId", UUID)
OperatorKeyId = NewType("OperatorKeyId", UUID)

TENANT = "tnt"
USER = "usr"
API_KEY = "key"
OPERATOR_KEY = "opk"
REQUEST = "req"


def new_id() -> UUID:
    """A new UUIDv7: sorts by the time it was made."""
    return uuid7()


def show(prefix: str, value: UUID) -> str:
    """The id as a caller sees it, such as ``tnt_01h455vb4pex5vsknk084sn02q``."""
    return f"{prefix}_{encode(value.bytes)}"


def read(prefix: str, text: str) -> UUID | None:
    """The id that a caller sent, or None when it is not an id of this type (which then does not exist)."""
    try:
        typeid = TypeID.from_string(text)
    except TypeIDException:
        return None
    return UUID(bytes=typeid.uuid_bytes) if typeid.prefix == prefix else None
