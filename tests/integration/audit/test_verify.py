"""Verification of real logs: what an attacker with every right on the database does is found (AU2)."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import LiteralString

import orjson
import psycopg
import pytest

from tenants.audit.checkpoint_writer import CheckpointWriter
from tenants.audit.checkpoints import Checkpoints, read_checkpoints
from tenants.audit.origin import SYSTEM
from tenants.audit.verifier import FaultKind
from tenants.crud import service
from tenants.resources.registry import load_registry
from tenants.sign_in.signing_keys import SigningKeys, generate_signing_keys, load_earlier_keys
from tests.fixtures.audit import chain, tamper, verify
from tests.fixtures.gateways import Gateway

pytestmark = pytest.mark.anyio

_CONTACTS = load_registry("examples.crm.resources")["contacts"]


async def _write(gateway: Gateway, count: int) -> None:
    work = gateway.services.database.statements(gateway.acme.ref)
    for number in range(count):
        values = {"name": f"Contact: {number} - 'ü'", "value_cents": 10**number % 2**53}
        await service.create(work, _CONTACTS, values, origin=replace(SYSTEM, request_id=f"req_{number}", source="::1"))


@pytest.fixture
async def logged(gateway: Gateway) -> Gateway:
    """Twelve changes of data and one of management, chained."""
    await _write(gateway, 12)
    body = {"name": "support", "permissions": []}
    made = await gateway.client.post("/v1/roles", json=body, headers=gateway.acme.key("owner"))
    assert made.status_code == 201
    await chain(gateway)
    return gateway


async def test_an_honest_log_is_good(logged: Gateway) -> None:
    """Python computes the hashes that the database computed; what is not chained yet is counted."""
    await _write(logged, 2)
    verdict = await verify(logged)
    assert (verdict.good, verdict.events, verdict.unchained) == (True, 13, 2)
    assert verdict.oldest_unchained is not None
    await chain(logged)
    verdict = await verify(logged)
    assert (verdict.good, verdict.events, verdict.unchained) == (True, 15, 0)


_EDITS: tuple[tuple[LiteralString, FaultKind, int], ...] = (
    ("UPDATE {log} SET actor_kind = 'user' WHERE sequence = 3", FaultKind.CHANGED, 3),
    ("UPDATE {log} SET created_at = created_at + interval '1 microsecond' WHERE sequence = 3", FaultKind.CHANGED, 3),
    ('UPDATE {log} SET after = after || \'{{"name": "x"}}\' WHERE sequence = 13', FaultKind.CHANGED, 13),
    ("UPDATE {log} SET reason = '' WHERE sequence = 1", FaultKind.CHANGED, 1),
    ("UPDATE {log} SET category = 'data' WHERE category = 'management'", FaultKind.CHANGED, 13),
    ("UPDATE {log} SET hash = sha256(hash) WHERE sequence = 13", FaultKind.CHANGED, 13),
    ("UPDATE {log} SET hash = NULL WHERE sequence = 5", FaultKind.UNCHAINED, 5),
    ("DELETE FROM {log} WHERE sequence = 1", FaultKind.MISSING, 1),
    ("DELETE FROM {log} WHERE sequence BETWEEN 4 AND 6", FaultKind.MISSING, 4),
    ("DELETE FROM {log} WHERE sequence > 11", FaultKind.TRUNCATED, 12),
    ("DELETE FROM {log}", FaultKind.TRUNCATED, 1),
    ("UPDATE {log} SET sequence = NULL, hash = NULL WHERE sequence = 13", FaultKind.TRUNCATED, 13),
    ("UPDATE {log} SET sequence = NULL WHERE sequence = 2", FaultKind.MISSING, 2),
    ("UPDATE {log} SET sequence = -2 WHERE sequence = 2", FaultKind.ADDED, -2),
    ("UPDATE {log} SET sequence = 14 WHERE sequence = 13", FaultKind.MISSING, 13),
)


@pytest.mark.parametrize(("edit", "kind", "sequence"), _EDITS)
async def test_an_edit_is_found_and_named(logged: Gateway, edit: LiteralString, kind: FaultKind, sequence: int) -> None:
    """AU2: by every right of a superuser."""
    tamper(logged.urls, logged.acme.ref, edit)
    faults = (await verify(logged)).faults
    assert (faults.named[0].kind, faults.named[0].sequence) == (kind, sequence)


async def test_rows_that_change_places_are_found(logged: Gateway) -> None:
    """AU2: a swap of two whole rows, each with its own hash, and of their contents alone."""
    places: LiteralString = (
        "UPDATE {log} SET sequence = CASE sequence WHEN 1004 THEN 9 ELSE 4 END WHERE sequence > 1000"
    )
    tamper(logged.urls, logged.acme.ref, "UPDATE {log} SET sequence = sequence + 1000 WHERE sequence IN (4, 9)")
    tamper(logged.urls, logged.acme.ref, places)
    assert [fault.sequence for fault in (await verify(logged)).faults.named] == [4, 5, 9, 10]


async def test_a_log_that_was_chained_again_is_found_by_its_checkpoint(logged: Gateway, tmp_path: Path) -> None:
    """AU2: the attacker edits a row, and lets the database compute every hash and the recorded end again."""
    keys = logged.services.features.tokens.keys
    assert await CheckpointWriter(logged.services.database, keys, tmp_path).write() == 2
    ends = read_checkpoints(tmp_path, None, keys.find).ends[logged.acme.ref.id]
    assert (await verify(logged, ends)).good
    tamper(logged.urls, logged.acme.ref, "UPDATE {log} SET reason = 'x' WHERE sequence = 3")
    tamper(logged.urls, logged.acme.ref, "UPDATE {log} SET hash = NULL, sequence = NULL")
    with psycopg.connect(logged.urls.superuser) as superuser:
        superuser.execute("DELETE FROM tenantry.event_counters")
    await chain(logged)
    assert (await verify(logged)).good
    faults = (await verify(logged, ends)).faults
    assert [(fault.kind, fault.sequence) for fault in faults.named] == [(FaultKind.REWRITTEN, 13)]


async def test_a_tail_that_was_cut_with_its_end_is_found_by_its_checkpoint(logged: Gateway, tmp_path: Path) -> None:
    """AU2: the rows and the recorded end agree."""
    keys = logged.services.features.tokens.keys
    await CheckpointWriter(logged.services.database, keys, tmp_path).write()
    ends = read_checkpoints(tmp_path, None, keys.find).ends[logged.acme.ref.id]
    tamper(
        logged.urls,
        logged.acme.ref,
        "WITH cut AS (DELETE FROM {log} WHERE sequence > 8) UPDATE tenantry.event_counters"
        " SET last_sequence = 8, last_hash = (SELECT hash FROM {log} WHERE sequence = 8)",
    )
    assert (await verify(logged)).good
    (fault,) = (await verify(logged, ends)).faults.named
    assert (fault.kind, fault.sequence) == (FaultKind.TRUNCATED, 9)


async def test_checkpoints_are_written_once_and_survive_a_broken_line(logged: Gateway, tmp_path: Path) -> None:
    """One for each chain that has grown, that of the operators too; after a write that failed, a new line begins."""
    features = logged.services.features
    writer = CheckpointWriter(logged.services.database, features.tokens.keys, tmp_path / "new" / "folder")
    assert [await writer.write(), await writer.write()] == [2, 0]
    (file,) = _files(tmp_path / "new" / "folder")
    with file.open("ab") as opened:
        opened.write(b'{"tenant": "tnt_')
    await _write(logged, 1)
    await chain(logged)
    assert await writer.write() == 1
    found = read_checkpoints(file.parent, None, features.tokens.keys.find)
    assert [end.sequence for end in found.ends[logged.acme.ref.id]] == [13, 14]
    assert (found.forged, found.damaged) == ([], 1)


async def test_a_forged_checkpoint_is_refused(logged: Gateway, tmp_path: Path) -> None:
    """Each member is signed; a key that is not there verifies nothing; the public part of an earlier one does."""
    keys = logged.services.features.tokens.keys
    await CheckpointWriter(logged.services.database, keys, tmp_path).write()
    (file,) = _files(tmp_path)
    line = orjson.loads(file.read_bytes().splitlines()[0])
    changes = {"sequence": 12, "hash": "00" * 32, "at": "2020-01-01T00:00:00+00:00", "signature": "00" * 64}
    for name, value in changes.items():
        file.write_bytes(orjson.dumps(line | {name: value}))
        assert _read(file, keys).forged == [f"{file.name}, line 1"]
    file.write_bytes(orjson.dumps(line))
    other = SigningKeys.load(generate_signing_keys("other"))
    assert (_read(file, other).unknown, dict(_read(file, other).ends)) == ({keys.signing_kid}, {})
    earlier = load_earlier_keys(keys.public_document.decode())
    assert len(read_checkpoints(file, None, earlier.get).ends[logged.acme.ref.id]) == 1


def _files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def _read(file: Path, keys: SigningKeys) -> Checkpoints:
    return read_checkpoints(file, None, keys.find)


async def test_events_that_an_older_release_numbered_are_chained_by_the_next_job(
    logged: Gateway, tmp_path: Path
) -> None:
    """OP4: an upgrade leaves no event outside the chain, also where nothing is written afterwards."""
    tamper(logged.urls, logged.acme.ref, "UPDATE {log} SET hash = NULL")
    with psycopg.connect(logged.urls.superuser) as superuser:
        superuser.execute("UPDATE tenantry.event_counters SET last_hash = NULL")
    before = await verify(logged)
    assert (before.good, before.events, before.unchained) == (True, 0, 13)
    writer = CheckpointWriter(logged.services.database, logged.services.features.tokens.keys, tmp_path)
    assert await writer.write() == 2
    after = await verify(logged)
    assert (after.good, after.events, after.unchained) == (True, 13, 0)


async def test_a_log_that_grows_while_it_is_verified_is_good(gateway: Gateway) -> None:
    """Writers, the chain and ten verifications at once."""
    done = asyncio.Event()

    async def grow() -> None:
        while not done.is_set():
            await _write(gateway, 3)
            await chain(gateway)

    growing = asyncio.create_task(grow())
    for _ in range(10):
        verdict = await verify(gateway)
        assert verdict.good, verdict.faults.named
    done.set()
    await growing
    assert verdict.events > 10
