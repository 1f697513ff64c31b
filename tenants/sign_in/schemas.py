"""Requests and responses of sign-in."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from tenants.values.shown import SHOWN


class LoginRequest(BaseModel):
    """Body of ``POST /v1/auth/login``."""

    model_config = ConfigDict(extra="forbid")

    email: Annotated[str, Field(min_length=1, max_length=320), SHOWN]
    password: Annotated[str, Field(min_length=1, max_length=1024)]
    tenant: Annotated[str, Field(min_length=1, max_length=40, description="The tenant's slug."), SHOWN]


class RefreshRequest(BaseModel):
    """Body of ``POST /v1/auth/refresh`` and ``POST /v1/auth/logout``."""

    model_config = ConfigDict(extra="forbid")

    refresh_token: Annotated[str, Field(min_length=1, max_length=200)]


class Grant(BaseModel):
    """Response to a sign-in or a refresh."""

    model_config = ConfigDict(frozen=True)

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - a scheme name (RFC 6750), not a secret
    expires_in: Annotated[int, Field(description="Lifetime of the access token in seconds.")]
    refresh_token: str
