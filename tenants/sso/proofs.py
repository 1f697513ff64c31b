"""The mail domains of a tenant: add, list, prove, remove; and the job that looks at the proofs again.

A proof is the TXT record itself: when it has been gone for ``GRACE``, the domain is proven no more and another tenant
can prove it. An outage of DNS proves nothing and changes nothing.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import structlog

from tenants.audit import service as audit
from tenants.audit.origin import SYSTEM, Origin
from tenants.database.keyset import Keyset
from tenants.database.sessions import ControlSession, Database
from tenants.errors import NotFound, check_version
from tenants.identifiers import SSO_DOMAIN, SsoDomainId, TenantId, new_id, show
from tenants.principal import TenantRef
from tenants.sso import repository
from tenants.sso.domains import DnsFailed, TxtRecords, new_record, record_name
from tenants.sso.errors import DnsUnavailable, DomainNotProven, TooManyDomains
from tenants.sso.models import SsoDomain
from tenants.sso.schemas import SsoDomainResponse

GRACE = timedelta(days=7)
MOST_DOMAINS = 50  # of one tenant
_AT_A_TIME = 100

_log = structlog.get_logger(__name__)


class Domains:
    """``verify`` and ``recheck`` open their own transactions: none is held while DNS is asked."""

    def __init__(self, database: Database, records: TxtRecords) -> None:
        self._database = database
        self._records = records

    async def page(self, session: ControlSession, tenant: TenantId, keyset: Keyset) -> Sequence[SsoDomain]:
        """A page of the tenant's domains, proven or not."""
        return await repository.page_of_domains(session, tenant, keyset)

    async def read(self, session: ControlSession, tenant: TenantId, domain: SsoDomainId) -> SsoDomain:
        """One domain of the tenant. Raises NotFound."""
        return _found(await repository.find_domain(session, tenant, domain))

    async def add(self, session: ControlSession, tenant: TenantId, domain: str, *, origin: Origin) -> SsoDomain:
        """Add a domain in its canonical form, with a new TXT record. Raises DomainTaken and TooManyDomains."""
        if await repository.count_domains(session, tenant) >= MOST_DOMAINS:
            raise TooManyDomains
        added = SsoDomain(id=SsoDomainId(new_id()), tenant_id=tenant, domain=domain, record=new_record())
        await repository.add_domain(session, added)
        await audit.record(session, tenant, origin, "sso_domains.added", added.id, after=_shown(added))
        return added

    async def remove(
        self,
        session: ControlSession,
        tenant: TenantId,
        domain: SsoDomainId,
        *,
        origin: Origin,
        versions: tuple[int, ...] | None = None,
    ) -> None:
        """Delete the domain: its people can no longer sign in. Raises NotFound and PreconditionFailed."""
        found = _found(await repository.find_domain(session, tenant, domain, lock=True))
        check_version(found.version, versions)
        await repository.remove_domain(session, domain)
        await audit.record(session, tenant, origin, "sso_domains.removed", domain, before=_shown(found))

    async def verify(self, tenant: TenantRef, domain: SsoDomainId, *, origin: Origin) -> SsoDomain:
        """Look the TXT record up. Raises NotFound, DomainNotProven, DomainProvenElsewhere and DnsUnavailable."""
        async with self._database.control(tenant) as session:
            found = await self.read(session, tenant.id, domain)
        try:
            is_proven = await self._has_record(found)
        except DnsFailed as error:
            raise DnsUnavailable(detail=str(error)) from error
        if not is_proven:
            raise DomainNotProven
        async with self._database.control(tenant) as session:
            held = _found(await repository.find_domain(session, tenant.id, domain, lock=True))
            before = _shown(held)
            await repository.set_proven(session, held, datetime.now(UTC))
            if before != (after := _shown(held)):
                await audit.record(
                    session, tenant.id, origin, "sso_domains.verified", domain, before=before, after=after
                )
            return held

    async def recheck(self) -> None:
        """Look at the record of every proven domain of every tenant."""
        after: SsoDomainId | None = None
        while True:
            async with self._database.control() as session:
                domains = await repository.proven_domains(session, after, _AT_A_TIME)
            for domain in domains:
                await self._recheck(domain)
            if len(domains) < _AT_A_TIME:
                return
            after = domains[-1].id

    async def _recheck(self, domain: SsoDomain) -> None:
        try:
            is_proven = await self._has_record(domain)
        except DnsFailed as error:
            _log.warning("sso_domain_not_checked", domain=show(SSO_DOMAIN, domain.id), reason=str(error))
            return
        async with self._database.control() as session:
            held = await repository.find_domain(session, domain.tenant_id, domain.id, lock=True)
            if held is None or held.verified_at is None:
                return
            now = datetime.now(UTC)
            if is_proven:
                held.seen_at = now
            elif held.seen_at is None or now - held.seen_at > GRACE:
                before, held.verified_at = _shown(held), None
                await session.flush()
                after = _shown(held)
                await audit.record(
                    session, held.tenant_id, SYSTEM, "sso_domains.lost", held.id, before=before, after=after
                )
                _log.warning("sso_domain_lost", domain=show(SSO_DOMAIN, domain.id))

    async def _has_record(self, domain: SsoDomain) -> bool:
        return domain.record in await self._records.find(record_name(domain.domain))


def _found(domain: SsoDomain | None) -> SsoDomain:
    if domain is None:
        raise NotFound
    return domain


def _shown(domain: SsoDomain) -> audit.State:
    return SsoDomainResponse.of(domain).model_dump(mode="json")
