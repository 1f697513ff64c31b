"""Requests and responses of changing and resetting a password."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from tenants.users.passwords import MOST_BYTES
from tenants.values.addresses import Email

LinkToken = Annotated[
    str,
    Field(
        min_length=1, max_length=200, description="The token of the link in the mail.", examples=["tn_link_4kQ9…b2Zs"]
    ),
]
GivenPassword = Annotated[str, Field(min_length=1, max_length=MOST_BYTES, examples=["a long enough passphrase"])]
NewPassword = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MOST_BYTES,
        description="At least 15 characters (8 for a person who has enrolled a second factor), at most 1,024 bytes, and"
        " not a common one.",
        examples=["umbrella walnut 42 glacier"],
    ),
]


class ForgotPasswordRequest(BaseModel):
    """Body of ``POST /v1/auth/password/forgot``."""

    model_config = ConfigDict(extra="forbid")

    email: Email


class ResetPasswordRequest(BaseModel):
    """Body of ``POST /v1/auth/password/reset``."""

    model_config = ConfigDict(extra="forbid")

    token: LinkToken
    password: NewPassword


class ChangePasswordRequest(BaseModel):
    """Body of ``POST /v1/auth/password/change``."""

    model_config = ConfigDict(extra="forbid")

    current_password: GivenPassword
    password: NewPassword


class Accepted(BaseModel):
    """Response to a request that is answered by mail, if at all."""

    status: Annotated[Literal["accepted"], Field(examples=["accepted"])] = "accepted"
