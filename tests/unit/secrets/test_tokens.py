"""Secrets of keys: their format, and what is stored of them."""

import re

import pytest

from tenants.secrets.hashing import SecretHasher
from tenants.secrets.tokens import SecretKind, checksum, generate, kind_of, last4_of, prefix_of
from tenants.settings import Pepper

_OLD, _NEW = Pepper(1, b"o" * 32), Pepper(2, b"n" * 32)


@pytest.mark.parametrize("kind", SecretKind)
def test_a_new_secret_begins_with_its_kind_and_ends_with_its_checksum(kind: SecretKind) -> None:
    """ID1: at least 160 random bits in base62, then six characters of base62 CRC32 over all before."""
    secret = generate(kind)
    assert re.fullmatch(f"{kind}[0-9A-Za-z]{{36}}[0-9A-Za-z]{{6}}", secret)
    assert secret.endswith(checksum(secret[:-6]))
    assert kind_of(secret) is kind


def test_the_checksum_is_the_standard_crc32() -> None:
    """A known value of CRC32 (that of "123456789" is 0xCBF43926), written in base62 with six digits."""
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    value = 0
    for character in checksum("123456789"):
        value = value * 62 + digits.index(character)
    assert value == 0xCBF43926


def test_secrets_are_unique() -> None:
    """They come from the operating system's random source."""
    assert len({generate(SecretKind.LIVE) for _ in range(1000)}) == 1000


def test_a_changed_character_is_detected_without_a_look_up() -> None:
    """ID1: by the checksum."""
    secret = generate(SecretKind.LIVE)
    for position in range(len(secret)):
        other = "x" if secret[position] != "x" else "y"
        assert kind_of(secret[:position] + other + secret[position + 1 :]) is None


@pytest.mark.parametrize("text", ["", "tn_", "tn_live_", "tn_live_" + "é" * 42, "tn_live_" + "a" * 43, "x" * 50])
def test_another_format_is_no_secret(text: str) -> None:
    """ID1: refused by its format alone."""
    assert kind_of(text) is None


def test_the_public_part_of_a_secret_leaves_160_bits_unknown() -> None:
    """Four random characters and four of the checksum are shown; 36 characters hold 214 bits."""
    secret = generate(SecretKind.LIVE)
    shown = prefix_of(secret, SecretKind.LIVE) + last4_of(secret)
    assert secret.startswith(prefix_of(secret, SecretKind.LIVE))
    assert len(shown) == len("tn_live_") + 8
    assert (62 ** (36 - 4)) // (62**4) > 2**160


def test_a_secret_hashed_under_an_old_pepper_is_recognised_after_rotation() -> None:
    """ID2: peppers rotate online."""
    secret = generate(SecretKind.LIVE)
    kept = SecretHasher([_OLD]).digest(secret)
    rotated = SecretHasher([_NEW, _OLD])
    assert rotated.matches(secret, kept.value)
    assert kept.value in [each.value for each in rotated.candidates(secret)]
    assert rotated.digest(secret).pepper_version == 2


def test_no_secret_is_recognised_under_a_removed_pepper_and_no_other_secret_at_all() -> None:
    """ID2: a stored hash is worthless without its pepper."""
    secret = generate(SecretKind.LIVE)
    kept = SecretHasher([_OLD]).digest(secret)
    assert not SecretHasher([_NEW]).matches(secret, kept.value)
    assert not SecretHasher([_NEW, _OLD]).matches(generate(SecretKind.LIVE), kept.value)


@pytest.mark.parametrize("peppers", [[], [_OLD, Pepper(1, b"x" * 32)]])
def test_peppers_without_an_order_are_refused_at_start(peppers: list[Pepper]) -> None:
    """ID2: each version once."""
    with pytest.raises(ValueError, match="version"):
        SecretHasher(peppers)
