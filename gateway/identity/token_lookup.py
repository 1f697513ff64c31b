"""Looks up what access tokens of keys and of workloads stand for: the rows that they were issued for, as they are."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from gateway.identity.database_lookup import DatabaseLookup, Outcomes
from gateway.identity.lookup import KeyId, Lookup, LookupResult
from gateway.identity.subjects import interned
from tenants.credentials import CredentialRevoked
from tenants.database.listener import ChangeKind
from tenants.identifiers import WorkloadRuleId
from tenants.policy import Policy
from tenants.principal import Principal, PrincipalKind, TenantRef
from tenants.roles.vocabulary import CurrentPermissions
from tenants.sign_in.access_tokens import KeyClaims, WorkloadClaims
from tenants.values.networks import Network, plain_network
from tenants.workloads import repository
from tenants.workloads.permitted import permitted
from tenants.workloads.trust import Trust


@dataclass(frozen=True, slots=True)
class TokenLookup:
    """Adds tokens to what ``rows`` finds. ``permissions`` are those of the deployment."""

    rows: DatabaseLookup
    permissions: CurrentPermissions

    async def load(self, lookups: Sequence[Lookup]) -> list[LookupResult | Exception]:
        """As ``DatabaseLookup.load``."""
        workloads = [each for each in lookups if isinstance(each, WorkloadClaims)]
        others = [each for each in lookups if not isinstance(each, WorkloadClaims)]
        found: dict[Lookup, LookupResult | Exception] = {}
        if others:
            rows = [_row_of(each) for each in others]
            results = zip(others, await self.rows.load(rows), strict=True)
            found |= {each: _narrowed(result, each) for each, result in results}
        if workloads:
            found |= await self._workloads(workloads)
        return [found[each] for each in lookups]

    async def workload(self, claims: WorkloadClaims) -> LookupResult | Exception:
        """What these claims stand for now, whether or not a token has them yet."""
        return (await self._workloads([claims]))[claims]

    async def _workloads(self, claims: Sequence[WorkloadClaims]) -> Outcomes:
        rules = list(dict.fromkeys(each.rule_id for each in claims))
        trusts = await repository.find_trusts(self.rows.database.control_reads, rules)
        judged = await self.rows.judged([(each.tenant, (each.role,)) for each in trusts.values()])
        surroundings = dict(zip(trusts, judged, strict=True))
        return {each: self._workload(each, trusts.get(each.rule_id), surroundings) for each in claims}

    def _workload(
        self,
        claims: WorkloadClaims,
        trust: Trust | None,
        surroundings: dict[WorkloadRuleId, tuple[TenantRef, Policy]],
    ) -> LookupResult:
        tags = (f"{ChangeKind.WORKLOAD_RULE} {claims.rule_id}",)
        tenant = f"{ChangeKind.TENANT} {claims.tenant_id}"
        made_from = LookupResult(CredentialRevoked, line=tags, tenant=tenant, expires_at=claims.expires_at)
        if trust is None or not trust.enabled:
            return made_from
        if (trust.tenant.id, trust.version) != (claims.tenant_id, claims.version):
            return made_from
        return replace(made_from, subject=self._principal(claims, trust, *surroundings[trust.id]))

    def _principal(self, claims: WorkloadClaims, trust: Trust, tenant: TenantRef, policy: Policy) -> Principal:
        scopes = permitted(trust.scopes, self.permissions.names)
        return Principal(
            kind=PrincipalKind.WORKLOAD,
            id=trust.id,
            tenant=tenant,
            roles=interned((trust.role,)),
            scopes=interned(scopes if claims.scopes is None else scopes & claims.scopes),
            networks=interned(tuple(_network(each) for each in trust.allowed_cidrs)),
            expires_at=claims.expires_at,
            policy=policy,
        )


def _row_of(lookup: Lookup) -> Lookup:
    return KeyId(lookup.tenant_id, lookup.key_id) if isinstance(lookup, KeyClaims) else lookup


def _narrowed(result: LookupResult | Exception, lookup: Lookup) -> LookupResult | Exception:
    """The key's principal, no wider than its token. It expires with the key; the cache drops it with the token."""
    if not isinstance(lookup, KeyClaims) or isinstance(result, Exception) or not isinstance(result.subject, Principal):
        return result
    ends = lookup.expires_at if result.expires_at is None else min(lookup.expires_at, result.expires_at)
    subject, scopes = result.subject, lookup.scopes
    if scopes is not None:
        subject = replace(subject, scopes=interned(scopes if subject.scopes is None else scopes & subject.scopes))
    return replace(result, subject=subject, expires_at=ends)


@lru_cache(maxsize=10_000)
def _network(text: str) -> Network:
    return plain_network(text)
