"""Follows what keys made or own in parts: no statement and no transaction takes longer for more keys.

A key that was revoked is followed, too, so what has been seen is remembered from one transaction to the next. Who uses
a walk ends all that a part gives before the transaction commits, the tenant serialised: keys that have ended make no
others. Keys that were found by a transaction and end in a later one are followed again after that.
"""

from collections import deque
from collections.abc import Sequence
from time import monotonic
from uuid import UUID

from tenants.api_keys.descendants import repository
from tenants.api_keys.descendants.repository import KeyColumn, KeyCondition
from tenants.database.sessions import ControlSession
from tenants.identifiers import ApiKeyId, TenantId

_FIRST = UUID(int=0)
_ROWS = 10_000  # of a statement; some 20 ms of a worker's CPU
_FOLLOWED = 2_000  # keys whose lines one statement follows
_SECONDS = 1.0  # after which a transaction begins no further statement


class Walk:
    """From the keys for which ``start`` holds, by columns that name the key that made or owns another."""

    def __init__(self, tenant: TenantId, start: KeyCondition, columns: Sequence[KeyColumn]) -> None:
        self._tenant = tenant
        self._columns = columns
        self._reading: Sequence[KeyCondition] = (start,)  # empty: nothing
        self._after = _FIRST
        self._seen: set[ApiKeyId] = set()
        self._followed: deque[ApiKeyId] = deque()  # whose lines are to be read
        self._found: deque[ApiKeyId] = deque()  # that have not been revoked
        self._waiting = 0  # the first of these, which an earlier transaction found

    @property
    def is_left(self) -> bool:
        """Whether there may be more keys."""
        return bool(self._reading or self._followed or self._found)

    async def part(self, session: ControlSession, most: int) -> list[ApiKeyId]:
        """The next keys that have not been revoked, those at the start first; at most so many."""
        end = monotonic() + _SECONDS
        while (self._reading or self._followed) and len(self._found) <= most and monotonic() < end:
            await self._read(session)
        keys = [self._found.popleft() for _ in range(min(most, len(self._found)))]
        self._followed.extend(keys[: self._waiting])  # again: they could make others until now
        self._waiting = len(self._found)
        return keys

    async def _read(self, session: ControlSession) -> None:
        if not self._reading:
            followed = [self._followed.popleft() for _ in range(min(_FOLLOWED, len(self._followed)))]
            self._reading, self._after = repository.made_from(self._columns, followed), _FIRST
        rows = await repository.page_of_line(session, self._tenant, self._reading, self._after, _ROWS)
        for key, is_revoked in rows:
            if key not in self._seen:
                self._seen.add(key)
                self._followed.append(key)
                if not is_revoked:
                    self._found.append(key)
        if len(rows) < _ROWS:
            self._reading = ()
        else:
            self._after = rows[-1][0]
