"""SQL of leaked keys: the control table ``leaked_keys``, and what such keys have made."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import or_, select, true, union_all

from tenants.api_keys.models import ApiKey
from tenants.database.sessions import ControlSession
from tenants.identifiers import ApiKeyId, TenantId
from tenants.leaked_keys.models import LeakedKey
from tenants.leaked_keys.place import Place


async def responses(session: ControlSession, tenant: TenantId, keys: Sequence[ApiKeyId]) -> dict[ApiKeyId, str]:
    """Those of these keys that were reported before, with what the tenant had chosen then."""
    query = select(LeakedKey.api_key_id, LeakedKey.response).where(LeakedKey.tenant_id == tenant)
    rows = await session.execute(query.where(LeakedKey.api_key_id.in_(keys)))
    return {row[0]: row[1] for row in rows}


async def add(session: ControlSession, key: ApiKey, place: Place, response: str) -> None:
    """Record that a key was reported, for the first time."""
    session.add(
        LeakedKey(api_key_id=key.id, tenant_id=key.tenant_id, source=place.source, url=place.url, response=response)
    )
    await session.flush()


async def made_with(
    session: ControlSession, tenant: TenantId, key: ApiKeyId, end: datetime, most: int
) -> Sequence[ApiKeyId]:
    """A key and all that was made with it, transitively, as far as it works beyond ``end``; at most so many.

    What was made with a key are the keys that it created or that it owns. The key that others have put in its place is
    none of them: who had the leaked secret does not have that one. One that was revoked is followed, too.
    """
    line = select(ApiKey.id).where(ApiKey.tenant_id == tenant, ApiKey.id == key).cte("line", recursive=True)
    # One look-up in an index for each column: a join on either of them compares all keys with all.
    columns = (ApiKey.owner_key_id, ApiKey.created_by_key_id)
    made = union_all(
        *(select(ApiKey.id).where(ApiKey.tenant_id == tenant, each == line.c.id).correlate(line) for each in columns)
    ).lateral("made")
    line = line.union(select(made.c.id).select_from(line).join(made, true()))
    query = select(ApiKey.id).join(line, line.c.id == ApiKey.id).where(ApiKey.revoked_at.is_(None))
    query = query.where(or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > end))
    return (await session.scalars(query.order_by(ApiKey.id).limit(most))).all()
