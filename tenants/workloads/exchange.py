"""The exchange of a workload's token for one of ours (RFC 8693): verified by its rule, exchanged once, recorded.

No transaction is open while the issuer is asked. Few exchanges of one issuer wait for it at once: a slow one delays
its own workloads only.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tenants.audit import service as audit
from tenants.audit.origin import Origin
from tenants.audit.refusals import Refusals
from tenants.database.sessions import Database
from tenants.events.models import Category
from tenants.identifiers import WorkloadRuleId
from tenants.oauth.errors import SubjectTokenRefused
from tenants.oidc.discovery import Discovery
from tenants.oidc.errors import AnswerRefused, IssuerUnusable
from tenants.oidc.tokens import read_header
from tenants.principal import Actor, ActorKind
from tenants.sign_in.access_tokens import WorkloadClaims
from tenants.workloads import repository
from tenants.workloads.errors import IssuerUnavailable
from tenants.workloads.subject_tokens import Workload, read_subject_token, verify
from tenants.workloads.trust import Trust

REFUSED = "workload_rules.token_refused"  # action
_ISSUER_SECONDS = 4.0  # that a request waits for an issuer (OP3)
_MOST_WAITING = 32  # exchanges of one issuer


@dataclass(frozen=True, slots=True)
class Exchanged:
    """A verified workload, and the rule that trusts it."""

    trust: Trust
    workload: Workload

    def claims(self, scopes: frozenset[str] | None, now: float) -> WorkloadClaims:
        """The claims of a token for it."""
        trust = self.trust
        return WorkloadClaims(
            rule_id=trust.id,
            tenant_id=trust.tenant.id,
            version=trust.version,
            scopes=scopes,
            subject=self.workload.subject,
            expires_at=now + trust.token_seconds,
        )


class WorkloadExchange:
    """``verify`` and ``record`` open transactions of their own. Both raise SubjectTokenRefused."""

    def __init__(
        self,
        database: Database,
        discovery: Discovery,
        refusals: Refusals,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._discovery = discovery
        self._refusals = refusals
        self._clock = clock
        self._waiting: Counter[str] = Counter()  # by issuer

    async def verify(self, rule: WorkloadRuleId, token: str, origin: Origin) -> Exchanged:
        """The workload that the token describes, if this rule trusts it. Raises IssuerUnavailable, too."""
        try:
            parts, header = read_subject_token(token), read_header(token)
        except AnswerRefused as error:  # no rule is looked up for it
            raise SubjectTokenRefused(detail=str(error)) from error
        trust = (await repository.find_trusts(self._database.control_reads, [rule])).get(rule)
        if trust is None:
            raise SubjectTokenRefused(detail="no rule has this id")
        if not trust.enabled:
            raise self.refused(trust, "the rule is disabled", origin)
        try:
            async with self._turn(trust.issuer):
                key: dict[str, Any] = await self._discovery.key(trust.issuer, header)
            return Exchanged(trust, verify(token, parts, key, trust, self._clock()))
        except AnswerRefused as error:
            raise self.refused(trust, str(error), origin) from error
        except IssuerUnusable as error:
            raise IssuerUnavailable(detail=f"{trust.issuer}: {error}") from error

    async def record(self, exchanged: Exchanged, scopes: Sequence[str], origin: Origin) -> None:
        """Remember that the token was exchanged, and record it. Of two exchanges of one token the first succeeds."""
        trust, workload = exchanged.trust, exchanged.workload
        expires_at = datetime.fromtimestamp(workload.expires_at, UTC)
        by_rule = origin.by(Actor(ActorKind.WORKLOAD, trust.id))
        shown = {"subject": workload.subject, "scopes": list(scopes), "subject_token_expires_at": expires_at}
        async with self._database.control(trust.tenant) as session:
            if trust.single_use and not await repository.remember(session, trust.id, workload.digest, expires_at):
                raise self.refused(trust, "the token was exchanged before", origin)
            await audit.record(
                session,
                trust.tenant.id,
                by_rule,
                "workload_rules.token_issued",
                trust.id,
                after=shown,
                category=Category.ACCESS,
            )

    def refused(self, trust: Trust, reason: str, origin: Origin) -> SubjectTokenRefused:
        """The refusal, noted for the tenant's admins with its reason."""
        noted = Origin(origin.actor, origin.request_id, origin.source, reason)
        self._refusals.note(trust.tenant.id, REFUSED, trust.id, noted)
        return SubjectTokenRefused(detail=reason)

    @asynccontextmanager
    async def _turn(self, issuer: str) -> AsyncIterator[None]:
        if self._waiting[issuer] >= _MOST_WAITING:
            raise IssuerUnavailable(detail=f"{issuer}: too many exchanges wait for it")
        self._waiting[issuer] += 1
        try:
            async with asyncio.timeout(_ISSUER_SECONDS):
                yield
        except TimeoutError as error:
            raise IssuerUnavailable(detail=f"{issuer}: no answer in time") from error
        finally:
            self._waiting[issuer] -= 1
            if not self._waiting[issuer]:
                del self._waiting[issuer]
