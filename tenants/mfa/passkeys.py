"""Passkeys: the rules of WebAuthn Level 3 (W3C), by the library ``webauthn``. No I/O.

A challenge is used once and stored by the caller. Attestation is not asked for: any authenticator is accepted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import (
    base64url_to_bytes,
    bytes_to_base64url,
    generate_challenge,
    options_to_json_dict,
    parse_client_data_json,
)
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    CredentialDeviceType,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from tenants.identifiers import UserId

_TIMEOUT = 300_000  # milliseconds, as long as a challenge is good

Credential = Mapping[str, Any]  # ``PublicKeyCredential.toJSON()`` of a browser


class PasskeyRefused(Exception):
    """The reason, for the log."""


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """The site that passkeys belong to (WebAuthn section 4)."""

    id: str  # a domain name
    name: str  # as people know the SaaS
    origins: tuple[str, ...]  # of the pages that may use the passkeys: scheme, host and port


@dataclass(frozen=True, slots=True)
class Known:
    """What is stored of a passkey, as options and verification need it."""

    credential_id: bytes
    public_key: bytes
    sign_count: int
    transports: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Registered:
    """A passkey that was verified and is to be stored."""

    known: Known
    synced: bool


@dataclass(frozen=True, slots=True)
class Asserted:
    """A verified use of a passkey."""

    sign_count: int
    user_verified: bool  # by a PIN or biometrics: the passkey alone is two factors then


def new_challenge() -> str:
    """A challenge of 64 random bytes, in base64url."""
    return bytes_to_base64url(generate_challenge())


def challenge_of(credential: Credential) -> str:
    """The challenge that the browser answered, in canonical base64url. Raises PasskeyRefused.

    A page inside a frame of another origin is refused: it can be hidden there.
    """
    try:
        data = parse_client_data_json(base64url_to_bytes(credential["response"]["clientDataJSON"]))
        challenge = bytes_to_base64url(data.challenge)
    except Exception as error:  # the library raises whatever its parsers do
        raise PasskeyRefused("unreadable client data") from error
    if data.cross_origin:
        raise PasskeyRefused("used in a frame of another origin")
    return challenge


def credential_id_of(credential: Credential) -> bytes:
    """The id by which the passkey is stored. Raises PasskeyRefused."""
    try:
        return base64url_to_bytes(credential["rawId"])
    except ValueError as error:
        raise PasskeyRefused("unreadable credential id") from error


def belongs_to(credential: Credential, user: UserId, *, required: bool) -> bool:
    """Whether the authenticator stores the passkey for this person; ``required`` where it alone names the person."""
    handle = credential["response"].get("userHandle")
    if handle is None:
        return not required
    return bool(handle == bytes_to_base64url(user.bytes))


def creation_options(
    party: RelyingParty, user: UserId, *, email: str, name: str, challenge: str, existing: Sequence[Known]
) -> dict[str, Any]:
    """``PublicKeyCredentialCreationOptionsJSON`` for ``navigator.credentials.create``."""
    options = generate_registration_options(
        rp_id=party.id,
        rp_name=party.name,
        user_id=user.bytes,
        user_name=email,
        user_display_name=name or email,
        challenge=base64url_to_bytes(challenge),
        timeout=_TIMEOUT,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.PREFERRED, user_verification=UserVerificationRequirement.PREFERRED
        ),
        exclude_credentials=_descriptors(existing),
    )
    return options_to_json_dict(options)


def request_options(party: RelyingParty, *, challenge: str, allowed: Sequence[Known]) -> dict[str, Any]:
    """``PublicKeyCredentialRequestOptionsJSON`` for ``navigator.credentials.get``.

    Without ``allowed``, any passkey of this site that the authenticator finds; it must then verify the person.
    """
    verification = UserVerificationRequirement.PREFERRED if allowed else UserVerificationRequirement.REQUIRED
    options = generate_authentication_options(
        rp_id=party.id,
        challenge=base64url_to_bytes(challenge),
        timeout=_TIMEOUT,
        allow_credentials=_descriptors(allowed),
        user_verification=verification,
    )
    return options_to_json_dict(options)


def verify_registration(party: RelyingParty, credential: Credential, challenge: str) -> Registered:
    """Verify a new passkey (WebAuthn section 7.1). Raises PasskeyRefused."""
    try:
        verified = verify_registration_response(
            credential=dict(credential),
            expected_challenge=base64url_to_bytes(challenge),
            expected_rp_id=party.id,
            expected_origin=list(party.origins),
        )
    except Exception as error:  # the library raises whatever its parsers and cryptography do
        raise PasskeyRefused(f"registration: {type(error).__name__}: {error}") from error
    known = Known(
        verified.credential_id,
        verified.credential_public_key,
        verified.sign_count,
        _transports(credential["response"].get("transports") or ()),
    )
    return Registered(known, verified.credential_device_type is CredentialDeviceType.MULTI_DEVICE)


def verify_assertion(
    party: RelyingParty, credential: Credential, challenge: str, known: Known, *, verified_person: bool
) -> Asserted:
    """Verify a use of a passkey (WebAuthn section 7.2), its counter included. Raises PasskeyRefused.

    ``verified_person`` demands that the authenticator verified the person.
    """
    try:
        verified = verify_authentication_response(
            credential=dict(credential),
            expected_challenge=base64url_to_bytes(challenge),
            expected_rp_id=party.id,
            expected_origin=list(party.origins),
            credential_public_key=known.public_key,
            credential_current_sign_count=known.sign_count,
            require_user_verification=verified_person,
        )
    except Exception as error:  # as above
        raise PasskeyRefused(f"assertion: {type(error).__name__}: {error}") from error
    return Asserted(verified.new_sign_count, verified.user_verified)


def _descriptors(known: Sequence[Known]) -> list[PublicKeyCredentialDescriptor]:
    return [
        PublicKeyCredentialDescriptor(
            id=each.credential_id, transports=[AuthenticatorTransport(name) for name in each.transports]
        )
        for each in known
    ]


def _transports(names: Sequence[str]) -> tuple[str, ...]:
    """Those that the library knows, each once."""
    return tuple(each.value for each in AuthenticatorTransport if each.value in names)
