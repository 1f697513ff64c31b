"""The memory of recognised credentials: bounded, and unable to bring back what has been revoked.

Each entry carries the names of what it was made from (its tags, in the words of a notification: ``tenant <uuid>``), and
goes when one of them changes. A load that began before a change and ends after it must not be kept: every change has a
generation number, a load remembers the generation at which it began, and what one of its own tags overtook is loaded
again. Comparison and insertion happen in one step of the event loop, as do changes, so nothing slips in between.
"""

from time import monotonic, time
from typing import NamedTuple, Protocol, TypeVar

from gateway.identity.answer import Answer, Refusal, Subject
from gateway.identity.entries import Entries, Entry
from gateway.identity.versions import Versions
from tenants.credentials import CredentialExpired
from tenants.database.listener import ChangeKind, Subscriber
from tenants.identifiers import TenantId
from tenants.principal import Principal

TRUST = 5.0  # seconds that an entry is believed after the last sign that nothing has changed (ID4)
REFUSAL_TRUST = 2.5  # seconds; a refusal is believed only while the channel is alive, so that no new key waits for it
_CHANGES = 4096  # the latest, which loads that are under way may have missed; more than a load sees in its time

What = TypeVar("What")


class Channel(Protocol):
    """What is asked of ``tenants/database/listener.py``."""

    confirmed_at: float

    def subscribe(self, subscriber: Subscriber) -> None: ...


class Moment(NamedTuple):
    """When a load began: what changed afterwards may be missing from its answer."""

    generation: int
    at: float  # time.monotonic()


class PrincipalCache:
    """Maps the hash of a credential to its subject. Refusals are kept apart: a flood of bad keys evicts no good one."""

    def __init__(self, channel: Channel, *, size: int = 200_000, refusals: int = 20_000) -> None:
        self._channel = channel
        self._subjects: Entries[Subject] = Entries(size)
        self._refusals: Entries[Refusal] = Entries(refusals)
        self._versions = Versions()
        self._generation = 0
        self._changes: dict[str, int] = {}  # tag -> generation of its last change
        self._all_changed = 0  # loads that began in an earlier generation may have missed anything
        channel.subscribe(self.on_change)

    def __len__(self) -> int:
        """Credentials that are remembered as good, also those that must be loaded again before they are believed."""
        return len(self._subjects)

    def recall(self, key: bytes) -> Subject | None:
        """The subject, when it is known and may still be believed. Raises CredentialExpired when its time is over."""
        entry = self._subjects.get(key)
        if entry is None or not (entry.tenant.current and entry.user.current):
            return None
        now = monotonic()
        if now - self._channel.confirmed_at > TRUST and now - entry.loaded_at > TRUST:
            return None
        if entry.expires_at is not None and entry.expires_at <= time():
            raise CredentialExpired
        entry.visited = True
        return entry.what

    def recall_refusal(self, key: bytes) -> Refusal | None:
        """Why the credential was refused a moment ago, while that may still be believed."""
        entry, now = self._refusals.get(key), monotonic()
        if entry is None or not entry.current:
            return None
        if now - entry.loaded_at > TRUST or now - self._channel.confirmed_at > REFUSAL_TRUST:
            return None
        return entry.what

    def tenant_of(self, key: bytes) -> TenantId | None:
        """Whose credential this was when it was last loaded, believed or not."""
        entry = self._subjects.get(key)
        return entry.what.tenant.id if entry is not None and isinstance(entry.what, Principal) else None

    def moment(self) -> Moment:
        """To be taken before the database is asked."""
        return Moment(self._generation, monotonic())

    def keep(self, key: bytes, answer: Answer, began: Moment) -> bool:
        """Remember the answer. False when a change of what it was made from has overtaken it: then ask again."""
        if self._overtaken(answer, began.generation):
            return False
        if isinstance(answer.subject, type):
            self._subjects.drop(key)
            self._fill(self._refusals, key, answer, answer.subject, began.at)
        else:
            self._refusals.drop(key)
            self._fill(self._subjects, key, answer, answer.subject, began.at)
        return True

    def on_change(self, kind: str, changed: str) -> None:
        """Believe no longer what was made from this. Called by the channel, in order of commit."""
        self._generation += 1
        if kind == ChangeKind.RESET:
            self._miss_all()
            self._versions.end_all()
            return
        tag = f"{kind} {changed}"
        if len(self._changes) >= _CHANGES:
            self._miss_all()
        self._changes[tag] = self._generation
        self._versions.end(tag)
        self._subjects.drop_own(tag)
        self._refusals.drop_own(tag)

    def _overtaken(self, answer: Answer, began: int) -> bool:
        tags = (*answer.own, answer.tenant, answer.user)
        return self._all_changed > began or any(tag and self._changes.get(tag, 0) > began for tag in tags)

    def _fill(self, entries: Entries[What], key: bytes, answer: Answer, what: What, at: float) -> Entry[What]:
        entry = entries.place(key, answer.own)
        entry.what = what
        entry.tenant = self._versions.of(answer.tenant)
        entry.user = self._versions.of(answer.user)
        entry.loaded_at = at
        entry.expires_at = answer.expires_at
        return entry

    def _miss_all(self) -> None:
        self._all_changed = self._generation
        self._changes.clear()
