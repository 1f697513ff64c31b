"""A model for the principal cache: rows that change, a channel that notifies, a database that replies.

Every row has a state, a number that only grows: a key is 0 before its creation, and revoked at ``REVOKED``;
of a tenant and a user it is the number of changes. A subject contains the states of the rows it was made from.
"""

import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import cast
from uuid import UUID

from gateway.identity.cache import PrincipalCache
from gateway.identity.credential import hash_of
from gateway.identity.credential_loader import CredentialLoader, Outcome
from gateway.identity.lookup import KeySecret, Lookup, LookupResult, Refusal, Subject
from gateway.identity.principals import Principals
from gateway.request.fields import Credential as Presented
from tenants.credentials import CredentialInvalid, CredentialRevoked
from tenants.database.listener import Settle, Subscriber
from tenants.identifiers import TenantId, UserId
from tenants.principal import Principal, PrincipalKind, TenantRef, TenantStatus
from tenants.secrets.tokens import SecretKind, generate
from tenants.sign_in.access_tokens import AccessClaims, AccessTokens

REVOKED = 3
_FAR = 2**33  # seconds since the epoch


@dataclass
class Channel:
    """Replaces the change listener, which is tested on PostgreSQL."""

    confirmed_at: float = field(default_factory=time.monotonic)
    subscribers: list[Subscriber] = field(default_factory=list)

    def subscribe(self, subscriber: Subscriber) -> None:
        """As the listener does."""
        self.subscribers.append(subscriber)

    def settle_before_confirming(self, settle: Settle) -> None:
        """As the listener does, which alone waits for it."""

    def tell(self, kind: str, changed: str = "") -> None:
        """Deliver a notification."""
        for subscriber in self.subscribers:
            subscriber(kind, changed)


@dataclass(frozen=True, slots=True)
class Credential:
    """A credential as sent, and the tags of its rows."""

    sent: bytes
    tenant: str
    own: str | None = None  # an API key's
    user: str | None = None  # an access token's

    @property
    def rows(self) -> tuple[str, ...]:
        """All tags."""
        return tuple(row for row in (self.own, self.tenant, self.user) if row)


def key_of(name: str, tenant: UUID) -> Credential:
    """A new API key of this tenant."""
    return Credential(generate(SecretKind.LIVE).encode(), f"tenant {tenant}", own=f"api_key {name}")


def token_of(name: str, tenant: UUID, user: UUID) -> Credential:
    """An access token of this user."""
    return Credential(f"{name}.of.somebody".encode(), f"tenant {tenant}", user=f"user {user}")


class CacheModel:
    """Rows by tag, and a principal cache over them. ``notified`` is the state of each row by the last notification."""

    def __init__(self, credentials: Sequence[Credential], pause: Callable[[], Awaitable[None]], *, size: int) -> None:
        self.channel = Channel()
        self.rows = {row: 0 for each in credentials for row in each.rows}
        self.notified = dict(self.rows)
        self.queries = 0
        self._credentials = {each.sent: each for each in credentials}
        self._pause = pause
        self._unsent: deque[str] = deque()
        cache = PrincipalCache(self.channel, size=size, refusals=size)
        self.loader = CredentialLoader(cache, self.load)
        self.principals = Principals(cache, self.loader, cast("AccessTokens", self))

    def commit(self, row: str) -> None:
        """Change a row, without a notification yet."""
        self.rows[row] += 1
        if self.channel.confirmed_at > 0:
            self._unsent.append(row)

    def tell(self, *, reset: bool = False) -> None:
        """Deliver the next notification, or a reset."""
        if reset:
            self._unsent.clear()
            self.channel.tell("reset")
            self.notified = dict(self.rows)
        elif self._unsent:
            row = self._unsent.popleft()
            self.channel.tell(*row.split(" "))
            self.notified[row] = self.rows[row] - self._unsent.count(row)

    @property
    def answered(self) -> dict[str, int]:
        """The state of each row after the answered changes, which wait for no worker that does not listen."""
        return self.notified if self.channel.confirmed_at > 0 else self.rows

    def lose(self) -> None:
        """Lose the channel, with what it has not delivered."""
        self._unsent.clear()
        self.channel.confirmed_at = float("-inf")

    def regain(self) -> None:
        """Listen again: first all is reset."""
        self.tell(reset=True)
        self.channel.confirmed_at = time.monotonic()

    async def find(self, credential: Credential) -> Subject | Refusal:
        """As the identity stage does it."""
        try:
            sent = Presented(credential.sent, credential.sent, hash_of(credential.sent))
            return self.principals.get(sent.key) or await self.principals.load(sent)
        except (CredentialInvalid, CredentialRevoked) as refusal:
            return type(refusal)

    async def load(self, lookups: Sequence[Lookup]) -> list[Outcome]:
        """Read the rows at one moment, and return them at a later one."""
        self.queries += 1
        answers: list[Outcome] = []
        for each in lookups:
            await self._pause()
            answers.append(self.answer(self._credentials[_sent(each)]))
        await self._pause()
        return answers

    def answer(self, credential: Credential) -> LookupResult:
        """The result for this credential now."""
        subject = self._subject(credential)
        own = (credential.own,) if credential.own else ()
        unknown = subject is CredentialInvalid
        return LookupResult(subject, own, None if unknown else credential.tenant, credential.user)

    def verify(self, token: bytes) -> AccessClaims:
        """As ``AccessTokens`` does."""
        found = self._credentials[token]
        assert found.user is not None
        return _Claims(UserId(_id(found.user)), TenantId(_id(found.tenant)), None, _FAR, (), token)

    def states_of(self, credential: Credential, found: Subject | Refusal) -> dict[str, int]:
        """The states of the rows that this result was made from, as far as it contains them."""
        if not isinstance(found, Principal):
            state = 0 if found is CredentialInvalid else REVOKED
            return {credential.own or credential.user or "": state}
        return {credential.own or credential.user or "": int(found.roles[0]), credential.tenant: int(found.tenant.plan)}

    def _subject(self, credential: Credential) -> Subject | Refusal:
        tenant, state = _id(credential.tenant), self.rows[credential.own or credential.user or ""]
        if credential.own and not state:
            return CredentialInvalid
        if state >= REVOKED:
            return CredentialRevoked
        plan = str(self.rows[credential.tenant])
        place = TenantRef(TenantId(tenant), f"t{tenant.int}", TenantStatus.ACTIVE, f"t_{tenant}", f"t_{tenant}", plan)
        kind = PrincipalKind.API_KEY if credential.own else PrincipalKind.USER
        return Principal(kind, UUID(int=0), place, (str(state),))


@dataclass(frozen=True, slots=True)
class _Claims(AccessClaims):
    sent: bytes = b""


def _sent(lookups: Lookup) -> bytes:
    return lookups.text.encode() if isinstance(lookups, KeySecret) else cast("_Claims", lookups).sent


@cache
def _id(row: str) -> UUID:
    return UUID(row.split(" ")[1])


class Pauses:
    """Yields to other tasks at random, repeatably."""

    def __init__(self, seed: int, turn: Callable[[], Awaitable[None]]) -> None:
        self.choice = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self._turn = turn

    async def __call__(self) -> None:
        for _ in range(int(self.choice.random() * 3)):
            await self._turn()
