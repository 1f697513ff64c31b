"""The verifier finds every edit of a chained log, and names the row (AU2)."""

from datetime import UTC, datetime
from hashlib import sha256
from random import Random
from uuid import UUID

import pytest

from tenants.audit.chain import ChainedRow, genesis, next_hash
from tenants.audit.verifier import ChainEnd, FaultKind, Verifier
from tenants.identifiers import TenantId
from tests.fixtures.tampering import EDITS, Content, Log, rewrite

_TENANT = TenantId(UUID(int=7))
_ROUNDS = 10_000
_TEXTS = (None, "", "-", "3:abc", "12", "Ada", "Grüße 🦉", '{"a": 1.50}')


def _contents(random: Random, count: int) -> list[Content]:
    """Every event has an id and a time; the other columns have what could be taken for a length or for null."""
    return [
        (f"id {number}", *(random.choice(_TEXTS) for _ in range(10)), str(1_700_000_000_000_000 + number))
        for number in range(count)
    ]


def test_every_random_edit_is_found() -> None:
    """AU2: 10,000 of them: fields, hashes, deletions, swaps, truncations, additions, and rewritten chains."""
    random, missed = Random(1), []  # noqa: S311 - a run that can be repeated
    for number in range(_ROUNDS):
        log = Log.of(_TENANT, _contents(random, random.randrange(2, 12)))
        before = list(log.rows)
        edit = random.choice((*EDITS, rewrite))
        edit(log, random)
        if log.rows != before and not log.verified().count:
            missed.append((number, edit.__name__))
    assert missed == []


def test_an_untouched_log_has_no_fault() -> None:
    """Also one that grows while it is read: events beyond the recorded end, which has moved by then."""
    log = Log.of(_TENANT, _contents(Random(2), 50))  # noqa: S311
    assert log.verified().count == 0
    verifier = Verifier(genesis(_TENANT), [ChainEnd(40, log.rows[39].hash or b"")])
    for row in log.rows:
        verifier.feed(row)
    assert verifier.finish(50).count == 0


@pytest.mark.parametrize("place", [0, 24, 49])
def test_one_edit_is_one_finding_that_names_the_row(place: int) -> None:
    log = Log.of(_TENANT, _contents(Random(3), 50))  # noqa: S311
    row = log.rows[place]
    log.rows[place] = row._replace(content=(*row.content[:-1], "0"))
    faults = log.verified()
    assert [(fault.kind, fault.sequence, fault.event) for fault in faults.named] == [
        (FaultKind.CHANGED, place + 1, f"id {place}")
    ]


def test_deletions_and_truncations_name_the_range() -> None:
    log = Log.of(_TENANT, _contents(Random(4), 50))  # noqa: S311
    del log.rows[45:]
    del log.rows[10:20]
    assert [(fault.kind, fault.message) for fault in log.verified().named] == [
        (FaultKind.MISSING, "events 11 to 20 are missing before event 21"),
        (FaultKind.TRUNCATED, "events 46 to 50 are missing at the end: the recorded end is at 50"),
    ]


def test_a_rewritten_chain_is_found_by_what_was_signed() -> None:
    """Between the last checkpoint that agrees and the first that does not."""
    contents = _contents(Random(5), 50)  # noqa: S311
    honest = Log.of(_TENANT, contents)
    when = datetime(2026, 1, 31, 12, tzinfo=UTC)
    signed = [ChainEnd(at, honest.rows[at - 1].hash or b"", when) for at in (10, 30, 50)]
    contents[19] = (*contents[19][:-1], "0")
    verifier = Verifier(genesis(_TENANT), signed)
    for row in Log.of(_TENANT, contents).rows:
        verifier.feed(row)
    first, second = verifier.finish(50).named
    assert (first.kind, first.sequence, second.sequence) == (FaultKind.REWRITTEN, 30, 50)
    assert first.message == (
        "its hash is not that of the checkpoint of 2026-01-31 12:00:00: events after 10 were rewritten"
    )


def test_no_chain_is_another_tenants() -> None:
    other = TenantId(UUID(int=8))
    log = Log.of(other, _contents(Random(6), 3))  # noqa: S311
    log.tenant = _TENANT
    assert [fault.sequence for fault in log.verified().named] == [1]


def test_many_faults_are_counted_and_some_named() -> None:
    """The list of findings is bounded; the count is not."""
    log = Log.of(_TENANT, _contents(Random(7), 500))  # noqa: S311
    log.rows = [ChainedRow(row.sequence, b"\0" * 32, row.content) for row in log.rows]
    faults = log.verified()
    assert (len(faults.named), faults.count) == (100, 501)


def test_the_hash_is_the_documented_one() -> None:
    """docs/api.md: a program that has an export alone can compute it."""
    content = ("id", None, "", "é", *[None] * 8)
    first = sha256(f"tenantry audit 1 {_TENANT}".encode()).digest()
    expected = sha256(first + "1:12:id-0:1:é--------".encode()).digest()
    assert next_hash(genesis(_TENANT), 1, content) == expected
