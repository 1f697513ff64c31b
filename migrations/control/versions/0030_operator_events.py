"""The operators' log, and which passwords are short.

What operators change and no tenant's log can keep (their own keys, plans, the end of a tenant) is in one table, written
and chained by a function of the owner in the transaction of the change (docs/decisions/0046). No role of the gateway
changes a row. The chain's row is the lock: operators' changes are rare, and may wait for one another until the commit.
"""

from alembic import op

from migrations.raw import run

revision: str = "0030"
down_revision: str | None = "0029"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None

# In the order of the hash. Python recomputes it: tenants/audit/chain.py.
_HASHED = (
    "event.id::text",
    "event.action",
    "event.object",
    "event.actor_kind",
    "event.actor_id::text",
    "event.request_id",
    "event.source",
    "event.reason",
    "event.before::text",
    "event.after::text",
    "(extract(epoch FROM event.created_at) * 1000000)::bigint::text",
)
_CONTENT = " || ".join(f"coalesce(length({each}) || ':' || {each}, '-')" for each in _HASHED)

_TABLES = (
    """
    CREATE TABLE tenantry.operator_events (
        id uuid CONSTRAINT pk_operator_events PRIMARY KEY,
        sequence bigint NOT NULL CONSTRAINT uq_operator_events_sequence UNIQUE,
        action text NOT NULL,
        object text NOT NULL,
        actor_kind text NOT NULL,
        actor_id uuid,
        request_id text,
        source text,
        reason text,
        before jsonb,
        after jsonb,
        created_at timestamptz NOT NULL,
        hash bytea NOT NULL
    )
    """,
    "CREATE INDEX ix_operator_events_object ON tenantry.operator_events (object, id)",
    "GRANT SELECT ON tenantry.operator_events TO tenantry_control",
    """
    CREATE TABLE tenantry.operator_event_chains (
        id integer CONSTRAINT pk_operator_event_chains PRIMARY KEY
            CONSTRAINT ck_operator_event_chains_one CHECK (id = 1),
        last_sequence bigint NOT NULL,
        last_hash bytea NOT NULL,
        signed_sequence bigint NOT NULL DEFAULT 0
    )
    """,
    """
    INSERT INTO tenantry.operator_event_chains (id, last_sequence, last_hash)
        VALUES (1, 0, sha256(convert_to('tenantry operator audit 1', 'UTF8')))
    """,
    "GRANT SELECT, UPDATE (signed_sequence) ON tenantry.operator_event_chains TO tenantry_control",
    "ALTER TABLE tenantry.users ADD COLUMN password_is_short boolean NOT NULL DEFAULT false",
)

_RECORD = f"""
    CREATE FUNCTION tenantry.record_operator_event(
        id uuid, action text, object text, actor_kind text, actor_id uuid, request_id text, source text, reason text,
        before jsonb, after jsonb
    ) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
    DECLARE
        event tenantry.operator_events;
        previous bytea;
    BEGIN
        SELECT last_sequence + 1, last_hash INTO STRICT event.sequence, previous
            FROM tenantry.operator_event_chains FOR UPDATE;
        event.id := record_operator_event.id;
        event.action := record_operator_event.action;
        event.object := record_operator_event.object;
        event.actor_kind := record_operator_event.actor_kind;
        event.actor_id := record_operator_event.actor_id;
        event.request_id := record_operator_event.request_id;
        event.source := record_operator_event.source;
        event.reason := record_operator_event.reason;
        event.before := record_operator_event.before;
        event.after := record_operator_event.after;
        event.created_at := clock_timestamp();
        event.hash := sha256(previous || convert_to(
            length(event.sequence::text) || ':' || event.sequence || {_CONTENT}, 'UTF8'));
        INSERT INTO tenantry.operator_events SELECT event.*;
        UPDATE tenantry.operator_event_chains SET last_sequence = event.sequence, last_hash = event.hash;
    END
    $function$
"""  # noqa: S608 - columns that are named above

_SIGNATURE = "tenantry.record_operator_event(uuid, text, text, text, uuid, text, text, text, jsonb, jsonb)"


def upgrade() -> None:
    connection = op.get_bind()
    for statement in (*_TABLES, _RECORD):
        run(connection, statement)
    run(connection, f"REVOKE EXECUTE ON FUNCTION {_SIGNATURE} FROM PUBLIC")
    run(connection, f"GRANT EXECUTE ON FUNCTION {_SIGNATURE} TO tenantry_control")
