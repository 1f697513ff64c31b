"""A tenant's schema and role, created and dropped inside the control transaction that writes or deletes its row.

Two functions of the schemas' owner do the work, so that the gateway needs none of the owner's rights, and so
that a process killed at any moment leaves no partial tenant (IS8).
"""

from sqlalchemy import text

from tenants.database.sessions import ControlSession
from tenants.identifiers import TenantId

_PROVISION = text("SELECT tenantry.provision_tenant(:tenant)")
_DROP = text("SELECT tenantry.drop_tenant(:tenant)")


async def provision_tenant(session: ControlSession, tenant: TenantId) -> None:
    """Make schema, tables, role and grants of a tenant whose row this transaction has written (and flushed).

    One round trip, about 25 ms. Raises sqlalchemy.exc.DBAPIError when it has no row, or its schema or role is there
    already, or nothing has been migrated yet.
    """
    await session.execute(_PROVISION, {"tenant": tenant})


async def drop_tenant(session: ControlSession, tenant: TenantId) -> None:
    """Drop schema and role of a tenant whose row this transaction has deleted (and flushed). Does nothing twice.

    Waits for transactions that still work in the schema. Raises sqlalchemy.exc.DBAPIError while the row exists.
    """
    await session.execute(_DROP, {"tenant": tenant})
