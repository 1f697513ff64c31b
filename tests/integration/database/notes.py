"""Tenants whose notes have the same ids, and what the tests of this folder ask of them."""

import psycopg
from psycopg import sql
from sqlalchemy import BigInteger, Column, Integer, MetaData, Table, Text, bindparam, func, select

from tenants.database.names import tenant_schema
from tenants.database.statements import prepare
from tenants.identifiers import TenantId, new_id
from tenants.principal import TenantRef, TenantStatus

NOTES = Table("notes", MetaData(), Column("id", Integer), Column("body", Text), Column("cents", BigInteger))
BODY = prepare(select(NOTES.c.body).where(NOTES.c.id == bindparam("id")).limit(5))
SLOW = prepare(select(func.pg_sleep(bindparam("seconds", type_=Integer))))

_STATEMENTS = (
    "CREATE ROLE {name}",
    "GRANT {name} TO tenantry_gateway",
    "CREATE SCHEMA {name}",
    "GRANT USAGE ON SCHEMA {name} TO {name}",
    "CREATE TABLE {name}.notes (id int PRIMARY KEY, body text, cents bigint)",
    "CREATE TABLE {name}.replies (note_id int REFERENCES {name}.notes DEFERRABLE INITIALLY DEFERRED)",
    "INSERT INTO {name}.notes VALUES (1, {slug}, 100)",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON {name}.notes, {name}.replies TO {name}",
)


def make_tenant(owner: psycopg.Connection, slug: str) -> TenantRef:
    """A tenant with one note: id 1, its slug, 100 cents."""
    tenant = TenantId(new_id())
    name = tenant_schema(tenant)
    for statement in _STATEMENTS:
        owner.execute(sql.SQL(statement).format(name=sql.Identifier(name), slug=slug))
    return TenantRef(tenant, slug, TenantStatus.ACTIVE, name, name, "free")
