"""Sealed answers."""

from tenants.identifiers import new_id
from tenants.sign_in.sealing import Sealer


def test_a_sealed_answer_opens_for_its_own_row_alone() -> None:
    """ID8, SE1: moved to another row, changed, or under another secret, it opens for nobody."""
    sealer, row = Sealer(b"s" * 32), new_id()
    sealed = sealer.seal(row, b"answer")
    assert sealer.open(row, sealed) == b"answer"
    assert sealer.open(new_id(), sealed) is None
    assert sealer.open(row, sealed[:-1] + bytes([sealed[-1] ^ 1])) is None
    assert Sealer(b"t" * 32).open(row, sealed) is None
    assert b"answer" not in sealed
