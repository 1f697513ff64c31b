"""Sealed values: bound to their row, purpose and key, and to nothing that rotation changes."""

import pytest

from tenants.identifiers import TenantId, new_id
from tenants.secrets.sealing import SealedRow, Sealer, SealingKey

_OLD, _NEW = SealingKey(1, b"o" * 32), SealingKey(2, b"n" * 32)
_PURPOSE = "refresh answer"


def _row() -> SealedRow:
    return SealedRow(TenantId(new_id()), new_id())


def test_a_sealed_value_opens_for_its_own_row_alone() -> None:
    """ID8, SE1: moved to another row or tenant, or changed, it does not open."""
    sealer, row = Sealer([_OLD], _PURPOSE), _row()
    sealed = sealer.seal(row, b"answer")
    assert sealer.open(row, sealed) == b"answer"
    assert sealer.open(SealedRow(row.tenant, new_id()), sealed) is None
    assert sealer.open(SealedRow(TenantId(new_id()), row.id), sealed) is None
    assert sealer.open(SealedRow(None, row.id), sealed) is None
    assert b"answer" not in sealed


def test_no_changed_envelope_opens() -> None:
    """SE1: format, version of the key, nonce, ciphertext and tag are all authenticated."""
    sealer, row = Sealer([_NEW, _OLD], _PURPOSE), _row()
    sealed = sealer.seal(row, b"answer")
    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 3  # of the version, this makes 1 out of 2, which is a key that exists
        assert sealer.open(row, bytes(changed)) is None
    for length in range(len(sealed)):
        assert sealer.open(row, sealed[:length]) is None


def test_another_secret_or_purpose_does_not_open_it() -> None:
    """SE1: a value of one purpose cannot be passed off as one of another."""
    row = _row()
    sealed = Sealer([_OLD], _PURPOSE).seal(row, b"answer")
    assert Sealer([SealingKey(1, b"x" * 32)], _PURPOSE).open(row, sealed) is None
    assert Sealer([_OLD], "client secret").open(row, sealed) is None


def test_keys_rotate_online() -> None:
    """SE1: the newest key seals, an older one still opens, and what should be sealed again is known."""
    row = _row()
    before, during, after = Sealer([_OLD], _PURPOSE), Sealer([_NEW, _OLD], _PURPOSE), Sealer([_NEW], _PURPOSE)
    old = before.seal(row, b"answer")
    assert during.open(row, old) == b"answer"
    assert not during.is_current(old)
    new = during.seal(row, b"answer")
    assert during.is_current(new)
    assert after.open(row, new) == b"answer"
    assert after.open(row, old) is None


@pytest.mark.parametrize("keys", [[], [_OLD, SealingKey(1, b"x" * 32)]])
def test_sealing_without_a_key_or_with_two_of_one_version_is_refused(keys: list[SealingKey]) -> None:
    """SE1: which key opens an envelope is never a guess."""
    with pytest.raises(ValueError, match="each version once"):
        Sealer(keys, _PURPOSE)


def test_a_key_does_not_print_its_secret() -> None:
    """SE2."""
    assert "ooo" not in repr(_OLD)
