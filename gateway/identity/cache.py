"""The principal cache: bounded, and unable to restore a revoked credential.

Each entry has tags of the rows that it was made from, in the form of notifications (``tenant <uuid>``), and is
invalidated when one of them changes. A result that was loaded while a change was made must not be kept: every change
has a generation number, a load remembers the generation at which it began, and a result with a tag that changed since
is loaded again. Comparison and insertion are one step of the event loop, and so are changes: nothing interleaves.

While it is not confirmed that changes arrive, nothing cached is used: not what was loaded a moment ago either, since a
change is answered without waiting for a worker that does not listen (docs/decisions/0040).
"""

from time import monotonic, time
from typing import NamedTuple, Protocol, TypeVar

from gateway.identity.clock_cache import ClockCache
from gateway.identity.lookup import Holder, LookupResult, Refusal, Subject
from gateway.identity.row_versions import RowVersions
from tenants.credentials import CredentialExpired
from tenants.database.listener import TRUSTED_FOR, ChangeKind, Subscriber
from tenants.identifiers import TenantId
from tenants.principal import Principal

MAX_STALENESS = TRUSTED_FOR  # seconds after the last confirmation of the channel for which an entry is valid (ID14)
_MAX_REFUSAL_AGE = 5.0  # seconds; a refused token has no row whose change would invalidate its refusal
_MAX_HOLDERS = 10_000
_MAX_CHANGES = 4096  # the latest, which pending loads may have missed; more than occur during a load

Value = TypeVar("Value")


class Channel(Protocol):
    """The part of ``tenants/database/listener.py`` that the cache uses."""

    confirmed_at: float

    def subscribe(self, subscriber: Subscriber) -> None: ...


class LoadStart(NamedTuple):
    """When a load began: its result may lack later changes."""

    generation: int
    at: float  # time.monotonic()


class PrincipalCache:
    """Maps the hash of a credential to its subject. Refusals are separate: a flood of bad keys evicts no good one."""

    def __init__(self, channel: Channel, *, size: int = 200_000, refusals: int = 20_000) -> None:
        self._channel = channel
        self._subjects: ClockCache[Subject] = ClockCache(size)
        self._refusals: ClockCache[Refusal] = ClockCache(refusals)
        self._holders: dict[bytes, Holder] = {}  # of revoked keys; they never change
        self._versions = RowVersions()
        self._generation = 0
        self._changes: dict[str, int] = {}  # tag -> generation of its last change
        self._all_changed = 0  # loads that began in an earlier generation may have missed any change
        channel.subscribe(self.on_change)

    def __len__(self) -> int:
        """Number of good credentials, including those that must be loaded again before use."""
        return len(self._subjects)

    @property
    def confirmed(self) -> bool:
        """Every change that was answered by now has arrived."""
        return monotonic() - self._channel.confirmed_at <= MAX_STALENESS

    def get(self, key: bytes) -> Subject | None:
        """The subject, if it is cached and valid. Raises CredentialExpired."""
        entry = self._subjects.get(key)
        if entry is None or not (entry.tenant.current and entry.user.current) or (entry.line and not entry.current):
            return None
        if monotonic() - self._channel.confirmed_at > MAX_STALENESS:
            return None
        if entry.expires_at is not None and entry.expires_at <= time():
            raise CredentialExpired
        entry.recently_used = True
        return entry.value

    def get_refusal(self, key: bytes) -> Refusal | None:
        """The error that the credential was refused with, if it is cached and valid."""
        entry, now = self._refusals.get(key), monotonic()
        if entry is None or not entry.current:
            return None
        if now - entry.loaded_at > _MAX_REFUSAL_AGE or now - self._channel.confirmed_at > MAX_STALENESS:
            return None
        return entry.value

    def holder_of(self, key: bytes) -> Holder | None:
        """Whose this credential was, if it was refused as a revoked API key."""
        return self._holders.get(key)

    def tenant_of(self, key: bytes) -> TenantId | None:
        """The tenant of this credential when it was last loaded, valid or not."""
        entry = self._subjects.get(key)
        return entry.value.tenant.id if entry is not None and isinstance(entry.value, Principal) else None

    def begin_load(self) -> LoadStart:
        """Must be called before the database is queried."""
        return LoadStart(self._generation, monotonic())

    def keep(self, key: bytes, result: LookupResult, began: LoadStart) -> bool:
        """Cache the result. False when one of its rows has changed since the load began: load again."""
        if self._is_outdated(result, began.generation):
            return False
        if isinstance(result.subject, type):
            self._subjects.drop(key)
            self._remember(key, result.holder)
            self._fill(self._refusals, key, result, result.subject, began.at)
        else:
            self._refusals.drop(key)
            self._fill(self._subjects, key, result, result.subject, began.at)
        return True

    def on_change(self, kind: str, changed: str) -> None:
        """Invalidate what was made from this row. Called by the channel, in order of commit."""
        self._generation += 1
        if kind == ChangeKind.RESET:
            self._invalidate_loads()
            self._versions.end_all()
            return
        tag = f"{kind} {changed}"
        if len(self._changes) >= _MAX_CHANGES:
            self._invalidate_loads()
        self._changes[tag] = self._generation
        self._versions.end(tag)
        self._subjects.drop_own(tag)
        self._refusals.drop_own(tag)

    def _remember(self, key: bytes, holder: Holder | None) -> None:
        if holder is None:
            return
        if len(self._holders) >= _MAX_HOLDERS:
            del self._holders[next(iter(self._holders))]
        self._holders[key] = holder

    def _is_outdated(self, result: LookupResult, began: int) -> bool:
        tags = (*result.own, *result.line, result.tenant, result.user)
        return self._all_changed > began or any(tag and self._changes.get(tag, 0) > began for tag in tags)

    def _fill(self, entries: ClockCache[Value], key: bytes, result: LookupResult, value: Value, at: float) -> None:
        entry = entries.place(key, result.own)
        entry.value = value
        entry.tenant = self._versions.of(result.tenant)
        entry.user = self._versions.of(result.user)
        entry.line = tuple(map(self._versions.of, result.line))
        entry.loaded_at = at
        entry.expires_at = result.expires_at

    def _invalidate_loads(self) -> None:
        self._all_changed = self._generation
        self._changes.clear()
