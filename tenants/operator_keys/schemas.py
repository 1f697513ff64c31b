"""Requests and responses about operator keys. Only the response of create contains a secret (AZ8)."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from tenants.api_keys.schemas import EXPIRY, Expiry, Name
from tenants.identifiers import OPERATOR_KEY, example_of, show
from tenants.operator_keys.models import OperatorKey
from tenants.principal import OperatorRole


class CreateOperatorKey(BaseModel):
    """Body of ``POST /operator/v1/operator-keys``."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[Name, Field(description="Whose key it is, or which service's.", examples=["on-call"])]
    role: Annotated[
        OperatorRole,
        Field(
            description="`admin` may do everything, `support` may only read, `verifier` may only verify credentials."
        ),
    ]
    expires_at: Expiry = None


class OperatorKeyResponse(BaseModel):
    """An operator key, without its secret."""

    id: Annotated[str, Field(examples=[example_of(OPERATOR_KEY)])]
    name: Annotated[str, Field(examples=["on-call"])]
    role: OperatorRole
    prefix: Annotated[str, Field(description="The secret's first characters.", examples=["tn_op_4Kq9"])]
    last4: Annotated[str, Field(description="The secret's last four characters.", examples=["T3vX"])]
    created_at: datetime
    expires_at: Annotated[datetime | None, Field(examples=[EXPIRY])]
    revoked_at: Annotated[datetime | None, Field(examples=[None])]

    @classmethod
    def of(cls, key: OperatorKey) -> "OperatorKeyResponse":
        """Convert a row; internal columns are left out."""
        return cls(**_fields_of(key))


class OperatorKeyCreated(OperatorKeyResponse):
    """A new operator key: the only response that contains its secret."""

    secret: Annotated[str, Field(examples=["tn_op_4Kq9…T3vX"])]

    @classmethod
    def with_secret(cls, key: OperatorKey, secret: str) -> "OperatorKeyCreated":
        """Convert a row and add the secret, which is stored nowhere."""
        return cls(**_fields_of(key), secret=secret)


def _fields_of(key: OperatorKey) -> dict[str, Any]:
    plain = ("name", "role", "prefix", "last4", "created_at", "expires_at", "revoked_at")
    return {"id": show(OPERATOR_KEY, key.id), **{name: getattr(key, name) for name in plain}}
