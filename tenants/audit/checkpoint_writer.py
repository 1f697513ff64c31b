"""Writes a signed checkpoint of every chain that has grown: to a folder, or to the log where there is none."""

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from tenants.audit import repository
from tenants.audit.checkpoints import CheckpointKeys, lines_of, signed
from tenants.audit.verifier import ChainEnd
from tenants.database.sessions import Database
from tenants.events.service import number_events

_MOST = 500  # tenants of one transaction

_log = structlog.get_logger(__name__)


class CheckpointWriter:
    """Opens its own transactions: what is written outside the database cannot be undone with one."""

    def __init__(self, database: Database, keys: CheckpointKeys, folder: Path | None) -> None:
        """``folder`` is outside the database, at best on storage that this deployment may only append to."""
        self._database = database
        self._keys = keys
        self._folder = folder

    async def write(self) -> int:
        """Write what is due; how many checkpoints there were. After a crash some are written twice, none is lost.

        Raises OSError when the folder cannot be written, Unavailable when PostgreSQL is unavailable.
        """
        await self._chain_what_an_older_release_numbered()
        total = 0
        while True:
            async with self._database.control() as session:
                ends = await repository.unsigned_ends(session, _MOST)
            if not ends:
                return total + await self._write_operators()
            now = datetime.now(UTC)
            checkpoints = [
                signed(tenant, ChainEnd(last, digest or b"", now), self._keys) for tenant, last, digest in ends
            ]
            await self._publish(checkpoints, now)
            async with self._database.control() as session:
                await repository.mark_signed(session, [(tenant, last) for tenant, last, _ in ends])
            total += len(ends)

    async def _write_operators(self) -> int:
        async with self._database.control() as session:
            last, digest, written = await repository.end_of_operators(session)
        if last <= written:
            return 0
        now = datetime.now(UTC)
        await self._publish([signed(None, ChainEnd(last, digest, now), self._keys)], now)
        async with self._database.control() as session:
            await repository.mark_operators_signed(session, last)
        return 1

    async def _publish(self, checkpoints: list[dict[str, Any]], now: datetime) -> None:
        if self._folder is None:
            for each in checkpoints:
                _log.info("audit_checkpoint", **each)
            return
        await asyncio.to_thread(_append, self._folder / f"{now:%Y-%m}.jsonl", lines_of(checkpoints))

    async def _chain_what_an_older_release_numbered(self) -> None:
        async with self._database.control() as session:
            tenants = await repository.unchained_tenants(session)
        for tenant in tenants:
            await number_events(self._database, tenant)


def _append(file: Path, lines: bytes) -> None:
    """Append whole lines, on the disk when it returns. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab") as opened:
        if _ends_within_a_line(file):  # of a write that failed
            lines = b"\n" + lines
        opened.write(lines)
        opened.flush()
        os.fsync(opened.fileno())


def _ends_within_a_line(file: Path) -> bool:
    with file.open("rb") as opened:
        size = opened.seek(0, os.SEEK_END)
        if not size:
            return False
        opened.seek(size - 1)
        return opened.read(1) != b"\n"
