"""SQL of the control tables ``workload_rules`` and ``workload_exchanges``."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ARRAY, Uuid, any_, bindparam, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from tenants.database.keyset import Keyset
from tenants.database.sessions import ControlSession
from tenants.database.statements import Work, prepare
from tenants.directory.models import Tenant
from tenants.directory.reference import COLUMNS, reference_of
from tenants.identifiers import TenantId, WorkloadRuleId
from tenants.workloads.models import WorkloadExchange, WorkloadRule
from tenants.workloads.trust import Trust

_RULE_COLUMNS = (
    WorkloadRule.id,
    WorkloadRule.version,
    WorkloadRule.issuer,
    WorkloadRule.audience,
    WorkloadRule.claims,
    WorkloadRule.role,
    WorkloadRule.scopes,
    WorkloadRule.token_seconds,
    WorkloadRule.allowed_cidrs,
    WorkloadRule.single_use,
    WorkloadRule.enabled,
)
_BY_IDS = prepare(
    select(*_RULE_COLUMNS, *COLUMNS)
    .join(Tenant, Tenant.id == WorkloadRule.tenant_id)
    .where(WorkloadRule.id == any_(bindparam("rules", type_=ARRAY(Uuid))))
)


async def find_trusts(reads: Work, rules: Sequence[WorkloadRuleId]) -> dict[WorkloadRuleId, Trust]:
    """The rules with these ids, of whatever tenant."""
    count = len(_RULE_COLUMNS)
    rows = await reads.rows(_BY_IDS, {"rules": list(rules)})
    found = (Trust(reference_of(*row[count:]), *row[:count]) for row in rows)
    return {trust.id: trust for trust in found}


async def find(session: ControlSession, tenant: TenantId, rule: WorkloadRuleId) -> WorkloadRule | None:
    """One rule of this tenant, locked until the transaction ends."""
    query = select(WorkloadRule).where(WorkloadRule.tenant_id == tenant, WorkloadRule.id == rule)
    return await session.scalar(query.with_for_update())


async def read(session: ControlSession, tenant: TenantId, rule: WorkloadRuleId) -> WorkloadRule | None:
    """One rule of this tenant."""
    query = select(WorkloadRule).where(WorkloadRule.tenant_id == tenant, WorkloadRule.id == rule)
    return await session.scalar(query)


async def page(session: ControlSession, tenant: TenantId, keyset: Keyset) -> Sequence[WorkloadRule]:
    """A page of this tenant's rules by creation time, which is the order of their ids."""
    query = select(WorkloadRule).where(WorkloadRule.tenant_id == tenant)
    return (await session.scalars(keyset.of(query, WorkloadRule.id))).all()


async def count(session: ControlSession, tenant: TenantId) -> int:
    """How many rules the tenant has."""
    return await session.scalar(select(func.count()).where(WorkloadRule.tenant_id == tenant)) or 0


async def has_role(session: ControlSession, tenant: TenantId, role: str) -> bool:
    """Whether any rule of the tenant gives this role."""
    query = select(WorkloadRule.id).where(WorkloadRule.tenant_id == tenant, WorkloadRule.role == role)
    return await session.scalar(query.limit(1)) is not None


async def enabled(session: ControlSession, tenant: TenantId) -> Sequence[WorkloadRule]:
    """All rules of this tenant that work; their number is bounded."""
    query = select(WorkloadRule).where(WorkloadRule.tenant_id == tenant, WorkloadRule.enabled)
    return (await session.scalars(query.order_by(WorkloadRule.id))).all()


async def remove(session: ControlSession, rule: WorkloadRuleId) -> None:
    """Delete the row, and what was remembered of its tokens."""
    await session.execute(delete(WorkloadRule).where(WorkloadRule.id == rule))


async def remember(session: ControlSession, rule: WorkloadRuleId, digest: bytes, expires_at: datetime) -> bool:
    """Remember a token. False when it is remembered already, by whichever worker."""
    added = insert(WorkloadExchange).values(rule_id=rule, token_digest=digest, expires_at=expires_at)
    return await session.scalar(added.on_conflict_do_nothing().returning(WorkloadExchange.rule_id)) is not None


async def forget_expired(session: ControlSession, grace: timedelta) -> None:
    """Delete what is remembered of tokens that have expired, whatever the clocks of hosts differ by."""
    await session.execute(delete(WorkloadExchange).where(WorkloadExchange.expires_at < func.now() - grace))
