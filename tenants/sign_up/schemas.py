"""Requests of sign-up."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from tenants.onboarding.schemas import Slug
from tenants.password_changes.schemas import GivenPassword, LinkToken, NewPassword
from tenants.values.addresses import Email
from tenants.values.shown import SHOWN


class NewTenant(BaseModel):
    """The tenant that a sign-up is for."""

    model_config = ConfigDict(extra="forbid")

    slug: Slug
    name: Annotated[str, Field(min_length=1, max_length=200, examples=["Acme Corporation"]), SHOWN]


class SignUpRequest(BaseModel):
    """Body of ``POST /v1/auth/signup``."""

    model_config = ConfigDict(extra="forbid")

    email: Email
    password: NewPassword
    name: Annotated[str, Field(max_length=200, examples=["Ada Lovelace"]), SHOWN] = ""
    tenant: NewTenant


class VerifyEmailRequest(BaseModel):
    """Body of ``POST /v1/auth/email/verify``."""

    model_config = ConfigDict(extra="forbid")

    token: LinkToken
    password: Annotated[GivenPassword, Field(description="The password that was chosen at sign-up.")]
