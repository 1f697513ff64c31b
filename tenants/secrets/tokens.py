"""Opaque tokens: format, kinds, and a checksum that needs no look-up.

Format: a prefix that names the kind, 36 random base62 characters (214 bits), then six base62 characters of the CRC32 of
all before them. A row stores four random characters and four of the checksum in plain text, which leaves more than 160
bits unknown.
"""

import secrets
import zlib
from enum import StrEnum

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM_LENGTH = 36
_CHECKSUM_LENGTH = 6
_RANDOM_IN_PREFIX = 4


class SecretKind(StrEnum):
    """What a token is for, which is also its prefix."""

    LIVE = "tn_live_"
    TEST = "tn_test_"
    OPERATOR = "tn_op_"
    REFRESH = "tn_ref_"
    LINK = "tn_link_"
    SSO = "tn_sso_"  # state, verifier and code of a sign-in at the tenant's provider
    MFA = "tn_mfa_"  # a sign-in that waits for a second factor


def generate(kind: SecretKind) -> str:
    """A new token of this kind, from the operating system's random source."""
    body = kind + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_LENGTH))
    return body + checksum(body)


def checksum(text: str) -> str:
    """The six base62 characters that end a token: CRC32 of all before them, most significant digit first."""
    value = zlib.crc32(text.encode("ascii"))
    digits = []
    for _ in range(_CHECKSUM_LENGTH):
        value, digit = divmod(value, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))


def kind_of(text: str) -> SecretKind | None:
    """The kind of a well-formed token, or None. A wrong checksum costs no look-up (ID1)."""
    kind = next((each for each in SecretKind if text.startswith(each)), None)
    if kind is None or not text.isascii() or len(text) != len(kind) + _RANDOM_LENGTH + _CHECKSUM_LENGTH:
        return None
    return kind if checksum(text[:-_CHECKSUM_LENGTH]) == text[-_CHECKSUM_LENGTH:] else None


def prefix_of(secret: str, kind: SecretKind) -> str:
    """The first characters, which identify a key."""
    return secret[: len(kind) + _RANDOM_IN_PREFIX]


def last4_of(secret: str) -> str:
    """The last four characters."""
    return secret[-4:]
