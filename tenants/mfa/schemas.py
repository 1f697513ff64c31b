"""Requests and responses about second factors."""

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tenants.identifiers import PASSKEY, example_of, show
from tenants.mfa.models import Passkey
from tenants.sign_in.schemas import Grant, TenantSlug
from tenants.values.shown import SHOWN

_TOKEN = "tn_mfa_4hQ9…x2Lk"  # noqa: S105 - an example, not a secret
_ENCODED = "eyJ0eXBlIjoid2ViYXV0aG4uZ2V0In0"
_CODES = ["7k3f-q9xv-2m8d-hp4t", "b6ns-1wzc-x5re-9g0y"]

MfaToken = Annotated[str, Field(max_length=200, description="The `mfa_token` of a sign-in.", examples=[_TOKEN])]
Code = Annotated[
    str,
    Field(max_length=40, description="A code of the authenticator app, or a recovery code.", examples=["492039"]),
    SHOWN,
]
Password = Annotated[
    str, Field(max_length=1024, description="The current password.", examples=["a long enough passphrase"])
]
PasskeyName = Annotated[str, Field(min_length=1, max_length=100, examples=["Laptop"]), SHOWN]
_Encoded = Annotated[str, Field(max_length=8192, examples=[_ENCODED])]


class _FromBrowser(BaseModel):
    """What ``PublicKeyCredential.toJSON()`` returns: a newer browser may add members, which are ignored."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)


class NewCredentialResponse(_FromBrowser):
    client_data: Annotated[_Encoded, Field(alias="clientDataJSON")]
    attestation: Annotated[_Encoded, Field(alias="attestationObject")]
    transports: Annotated[
        list[Annotated[str, Field(max_length=20)]], Field(max_length=10, examples=[["internal"]])
    ] = []


class UsedCredentialResponse(_FromBrowser):
    client_data: Annotated[_Encoded, Field(alias="clientDataJSON")]
    authenticator_data: Annotated[_Encoded, Field(alias="authenticatorData")]
    signature: _Encoded
    user_handle: Annotated[_Encoded | None, Field(alias="userHandle")] = None


class _Credential(_FromBrowser):
    id: _Encoded
    raw_id: Annotated[_Encoded, Field(alias="rawId")]
    type: Annotated[str, Field(max_length=20, examples=["public-key"])]

    def as_json(self) -> dict[str, Any]:
        """With the names that WebAuthn uses."""
        return self.model_dump(by_alias=True)


class NewCredential(_Credential):
    """A ``RegistrationResponseJSON`` of WebAuthn."""

    response: NewCredentialResponse


class UsedCredential(_Credential):
    """An ``AuthenticationResponseJSON`` of WebAuthn."""

    response: UsedCredentialResponse


def _exactly_one(model: BaseModel, *names: str) -> None:
    if sum(getattr(model, name) is not None for name in names) != 1:
        raise ValueError(f"Give exactly one of {', '.join(names)}.")


class Proof(BaseModel):
    """Confirms a change: a second factor, or the password of a person who has none."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"code": "492039"}]})

    password: Password | None = None
    code: Code | None = None
    passkey: UsedCredential | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        _exactly_one(self, "password", "code", "passkey")
        return self


class VerifyMfa(BaseModel):
    """Body of ``POST /v1/auth/mfa/verify``: a code, or a passkey that answers a challenge for this sign-in."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"mfa_token": _TOKEN, "code": "492039"}]})

    mfa_token: MfaToken
    code: Code | None = None
    passkey: UsedCredential | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        _exactly_one(self, "code", "passkey")
        return self


class BeginTotp(BaseModel):
    """Body of ``POST /v1/auth/mfa/totp``: a proof with a session, or the token of a sign-in that enrols."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"password": "a long enough passphrase"}]}
    )

    password: Password | None = None
    code: Code | None = None
    passkey: UsedCredential | None = None
    mfa_token: MfaToken | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        _exactly_one(self, "password", "code", "passkey", "mfa_token")
        return self

    @property
    def proof(self) -> Proof:
        """The proof, when there is no token."""
        return Proof(password=self.password, code=self.code, passkey=self.passkey)


class ConfirmTotp(BaseModel):
    """Body of ``POST /v1/auth/mfa/totp/confirm``."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"code": "492039"}]})

    code: Annotated[str, Field(max_length=40, description="The app's current code.", examples=["492039"]), SHOWN]
    mfa_token: MfaToken | None = None


class RequestPasskey(BaseModel):
    """Body of ``POST /v1/auth/passkeys/options``."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{}]})

    mfa_token: MfaToken | None = None


class PasskeyLogin(BaseModel):
    """Body of ``POST /v1/auth/passkeys/login``."""

    model_config = ConfigDict(extra="forbid")

    passkey: UsedCredential
    tenant: Annotated[
        TenantSlug | None, Field(description="The tenant's slug; not needed by a member of one tenant.")
    ] = None


class CreatePasskey(BaseModel):
    """Body of ``POST /v1/auth/passkeys``."""

    model_config = ConfigDict(extra="forbid")

    name: PasskeyName
    passkey: NewCredential


class ChangePasskey(BaseModel):
    """Body of ``PATCH /v1/auth/passkeys/{id}``."""

    model_config = ConfigDict(extra="forbid")

    name: PasskeyName


class TotpEnrolment(BaseModel):
    """An authenticator app that waits for its first code. The secret is shown once."""

    secret: Annotated[str, Field(description="In base32.", examples=["JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"])]
    uri: Annotated[str, Field(examples=["otpauth://totp/Acme:ada%40example.com?secret=JBSWY3DPEHPK3PXP&issuer=Acme"])]
    qr_svg: Annotated[str, Field(description="The URI as a QR code.", examples=["<svg></svg>"])]


class RecoveryCodes(BaseModel):
    """Codes that are shown once, each good for one sign-in."""

    recovery_codes: Annotated[list[str], Field(examples=[_CODES])]


class TotpConfirmed(BaseModel):
    """Response to the first code of an authenticator app."""

    recovery_codes: Annotated[
        list[str] | None, Field(description="Shown once; null when there are codes from before.", examples=[_CODES])
    ]
    grant: Annotated[Grant | None, Field(description="Of a sign-in that enrolled; null with a session.")]


class PasskeyOptions(BaseModel):
    """Options for the browser's ``navigator.credentials``, and the challenge in them, which is good once."""

    public_key: Annotated[
        dict[str, Any],
        Field(
            description="`publicKey` of the browser's call, in the JSON form of WebAuthn Level 3.",
            examples=[{"challenge": "m0Qs7Zc2", "rpId": "example.com", "userVerification": "required"}],
        ),
    ]
    expires_in: Annotated[int, Field(description="Seconds.", examples=[300])]


class PasskeyResponse(BaseModel):
    """A passkey of the caller."""

    id: Annotated[str, Field(examples=[example_of(PASSKEY)])]
    name: Annotated[str, Field(examples=["Laptop"])]
    synced: Annotated[bool, Field(description="Whether it may be on several devices.", examples=[True])]
    created_at: datetime
    last_used_at: datetime | None

    @classmethod
    def of(cls, row: Passkey) -> Self:
        """Convert a row."""
        return cls(**_fields_of(row))


class PasskeyCreated(PasskeyResponse):
    """A new passkey."""

    recovery_codes: Annotated[
        list[str] | None, Field(description="Shown once; null when there are codes from before.", examples=[_CODES])
    ]

    @classmethod
    def with_codes(cls, row: Passkey, codes: list[str] | None) -> "PasskeyCreated":
        """Convert a row."""
        return cls(**_fields_of(row), recovery_codes=codes)


class MfaResponse(BaseModel):
    """The caller's second factors."""

    totp: Annotated[bool, Field(description="Whether an authenticator app is enrolled.", examples=[True])]
    passkeys: Annotated[int, Field(examples=[1])]
    recovery_codes: Annotated[int, Field(description="Codes that were not used.", examples=[10])]
    required: Annotated[bool, Field(description="Whether a tenant of the caller requires a second factor.")]


def _fields_of(row: Passkey) -> dict[str, Any]:
    return {
        "id": show(PASSKEY, row.id),
        "name": row.name,
        "synced": row.synced,
        "created_at": row.created_at,
        "last_used_at": row.last_used_at,
    }
