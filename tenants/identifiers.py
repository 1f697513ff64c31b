"""Typed, sortable ids: UUIDv7 in the database, TypeIDs (``tnt_01h…``) in the API.

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
RoleId = NewType("RoleId", UUID)
SignInId = NewType("SignInId", UUID)
ScimGroupId = NewType("ScimGroupId", UUID)
InvitationId = NewType("InvitationId", UUID)
SsoDomainId = NewType("SsoDomainId", UUID)
PasskeyId = NewType("PasskeyId", UUID)
WorkloadRuleId = NewType("WorkloadRuleId", UUID)

TENANT = "tnt"
USER = "usr"
API_KEY = "key"
OPERATOR_KEY = "opk"
ROLE = "rol"
SESSION = "ses"
SCIM_GROUP = "grp"
INVITATION = "inv"
SSO_DOMAIN = "dom"
PASSKEY = "pky"
WORKLOAD_RULE = "wlr"
REQUEST = "req"
EVENT = "evt"


_SUFFIX = "[0-7][0-9a-hjkmnp-tv-z]{25}"  # 128 bits in 26 characters of Crockford's base32
_EXAMPLE_SUFFIX = "01kc2q7v8ze1rb9m3x5w6t0h4d"


def pattern_of(prefix: str) -> str:
    """The regular expression of an id, for API documents."""
    return f"^{prefix}_{_SUFFIX}$"


def example_of(prefix: str) -> str:
    """An id for API documents."""
    return f"{prefix}_{_EXAMPLE_SUFFIX}"


def new_id() -> UUID:
    """A new UUIDv7; sorts by creation time."""
    return uuid7()


def show(prefix: str, value: UUID) -> str:
    """Format an id for the API, such as ``tnt_01h455vb4pex5vsknk084sn02q``."""
    return f"{prefix}_{encode(value.bytes)}"


def read(prefix: str, text: str) -> UUID | None:
    """Parse an id from the API; None when it is not an id of this type (it then does not exist)."""
    try:
        typeid = TypeID.from_string(text)
    except TypeIDException:
        return None
    return UUID(bytes=typeid.uuid_bytes) if typeid.prefix == prefix else None
