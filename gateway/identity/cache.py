"""The memory of recognised credentials: bounded, and unable to bring back what has been revoked.

Each entry carries the names of what it was made from (its tags, in the words of a notification: ``tenant <uuid>``), and
goes when one of them changes. A load that began before a change and ends after it must not be kept: every change has a
generation number, a load remembers the generation at which it began, and what one of its own tags overtook is loaded
again. Comparison and insertion happen in one step of the event loop, as do changes, so nothing slips in between.
"""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from gateway.identity.tags import TagIndex
from gateway.watchdog.garbage import exempt
from tenants.credentials import CredentialExpired
from tenants.database.listener import ChangeKind, Subscriber
from tenants.errors import TenantryError
from tenants.principal import Operator, Principal

TRUST = 5.0  # seconds that an entry is believed after the last sign that nothing has changed (ID4)
REFUSAL_TRUST = 2.5  # seconds; a refusal is believed only while the channel is alive, so that no new key waits for it
_ATTEMPTS = 5  # loads in a row that may be overtaken
_MOST_CHANGES = 10_000  # remembered while loads are under way

Subject = Principal | Operator


@dataclass(frozen=True, slots=True)
class Answer:
    """What loading a credential found: a subject, or the refusal to raise."""

    subject: Subject | type[TenantryError]
    tags: tuple[str, ...]
    expires_at: float = math.inf  # seconds since the epoch


class Channel(Protocol):
    """What is asked of ``tenants/database/listener.py``."""

    confirmed_at: float

    def subscribe(self, subscriber: Subscriber) -> None: ...


class _Entry:
    """Plain slots: 100,000 of them stay in memory."""

    __slots__ = ("expires_at", "loaded_at", "subject", "tags", "visited")

    def __init__(self, subject: Subject, answer: Answer, loaded_at: float) -> None:
        self.subject = subject
        self.tags = answer.tags
        self.expires_at = answer.expires_at
        self.loaded_at = loaded_at
        self.visited = False


class PrincipalCache:
    """Maps the hash of a credential to its subject. Refusals are kept apart: a flood of bad keys evicts no good one."""

    def __init__(self, channel: Channel, *, size: int = 200_000, refusals: int = 20_000) -> None:
        self._channel = channel
        self._size = size
        self._refusal_size = refusals
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._refusals: OrderedDict[bytes, tuple[type[TenantryError], float, tuple[str, ...]]] = OrderedDict()
        self._tagged = TagIndex()
        self._loads: dict[bytes, asyncio.Task[Answer]] = {}
        self.loads = 0  # begun so far
        self._generation = 0
        self._changes: dict[str, int] = {}  # tag -> generation of its last change, while loads are under way
        self._reset_at = 0  # generation of the last change that concerned everything
        channel.subscribe(self.on_change)

    def __len__(self) -> int:
        """Credentials that are remembered as good."""
        return len(self._entries)

    def recall(self, key: bytes) -> Subject | None:
        """The subject, when it is known and may still be believed. Raises CredentialExpired when its time is over."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        now = time.monotonic()
        if now - entry.loaded_at > TRUST and now - self._channel.confirmed_at > TRUST:
            return None
        if entry.expires_at <= time.time():
            raise CredentialExpired
        entry.visited = True
        return entry.subject

    def recall_refusal(self, key: bytes) -> type[TenantryError] | None:
        """Why the credential was refused a moment ago, while that may still be believed."""
        refusal = self._refusals.get(key)
        if refusal is None:
            return None
        now = time.monotonic()
        if now - refusal[1] > TRUST or now - self._channel.confirmed_at > REFUSAL_TRUST:
            return None
        return refusal[0]

    async def load(self, key: bytes, load: Callable[[], Awaitable[Answer]]) -> Answer:
        """Load once for all who wait for this credential, and keep the answer unless a change overtook it.

        Raises what ``load`` raises; that is never kept.
        """
        task = self._loads.get(key)
        if task is None:
            self.loads += 1
            task = asyncio.create_task(self._load(key, load), name="load-principal")
            self._loads[key] = task
            task.add_done_callback(_read_outcome)
        return await asyncio.shield(task)  # one caller that leaves does not take the load from the others

    def on_change(self, kind: str, changed: str) -> None:
        """Forget what was made from this. Called by the channel, in order of commit."""
        self._generation += 1
        if kind == ChangeKind.RESET:
            self._forget_all()
            return
        tag = f"{kind} {changed}"
        if self._loads:
            self._remember_change(tag)
        for key in self._tagged.take(tag):
            self._forget(key)

    async def _load(self, key: bytes, load: Callable[[], Awaitable[Answer]]) -> Answer:
        try:
            for _ in range(_ATTEMPTS - 1):
                began, loaded_at = self._generation, time.monotonic()
                answer = await load()
                if not self._overtaken(answer.tags, began):
                    self._keep(key, answer, loaded_at)
                    return answer
            return await load()  # what changes this often is answered as it is now, and not kept
        finally:
            # In the same step as the insertion: nobody may join a load whose answer a change could by then overtake.
            del self._loads[key]
            if not self._loads:
                self._changes.clear()

    def _overtaken(self, tags: tuple[str, ...], began: int) -> bool:
        return self._reset_at > began or any(self._changes.get(tag, 0) > began for tag in tags)

    def _remember_change(self, tag: str) -> None:
        if len(self._changes) >= _MOST_CHANGES:
            self._changes.clear()
            self._reset_at = self._generation
        self._changes[tag] = self._generation

    def _keep(self, key: bytes, answer: Answer, loaded_at: float) -> None:
        self._forget(key)
        if isinstance(answer.subject, type):
            self._refusals[key] = (answer.subject, loaded_at, answer.tags)
            if len(self._refusals) > self._refusal_size:
                self._forget(next(iter(self._refusals)))
        else:
            self._make_room()
            self._entries[key] = _exempt(_Entry(answer.subject, answer, loaded_at))
        self._tagged.add(answer.tags, key)

    def _make_room(self) -> None:
        # CLOCK: the oldest goes, unless it was used since it was last looked at.
        while len(self._entries) >= self._size:
            key, entry = next(iter(self._entries.items()))
            if entry.visited:
                entry.visited = False
                self._entries.move_to_end(key)
            else:
                self._forget(key)

    def _forget(self, key: bytes) -> None:
        entry, refusal = self._entries.pop(key, None), self._refusals.pop(key, None)
        self._tagged.remove(entry.tags if entry else refusal[2] if refusal else (), key)

    def _forget_all(self) -> None:
        self._reset_at = self._generation
        self._changes.clear()
        self._entries.clear()
        self._refusals.clear()
        self._tagged.clear()


def _exempt(entry: _Entry) -> _Entry:
    """A tree of ids and words, and one of very many: not for the collector of garbage to look at."""
    subject = entry.subject
    exempt(entry, entry.tags, subject, subject.id)
    if isinstance(subject, Principal):
        exempt(subject.tenant, subject.tenant.id, subject.roles, subject.user_id)
    return entry


def _read_outcome(done: asyncio.Task[Answer]) -> None:
    if not done.cancelled():
        done.exception()  # whoever waited has it; if all of them left, there is nobody to tell
