"""The workers that trust their caches, and the question that they answer (docs/decisions/0040).

The tables are not logged: they change some times a second, and a crash must empty them. A second table, which is lost
together with the first, records when its rows began: while that is shorter ago than a worker trusts its cache, workers
may be missing from the rows.
"""

from alembic import op

from migrations.raw import run

revision: str = "0027"
down_revision: str | None = "0026"
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None

_STATEMENTS = (
    # Updated in place, some times a second: the free space keeps the versions of a row on its page.
    """
    CREATE UNLOGGED TABLE tenantry.gateway_workers (
        id uuid CONSTRAINT pk_gateway_workers PRIMARY KEY,
        host text NOT NULL,
        pid integer NOT NULL,
        beat bigint NOT NULL,
        seen bigint NOT NULL,
        started_at timestamptz NOT NULL DEFAULT now(),
        confirmed_at timestamptz NOT NULL DEFAULT now()
    ) WITH (fillfactor = 25)
    """,
    """
    CREATE UNLOGGED TABLE tenantry.gateway_worker_epochs (
        id integer CONSTRAINT pk_gateway_worker_epochs PRIMARY KEY,
        began_at timestamptz NOT NULL DEFAULT clock_timestamp()
    )
    """,
    "INSERT INTO tenantry.gateway_worker_epochs (id) VALUES (1)",
    "CREATE SEQUENCE tenantry.confirmations",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON tenantry.gateway_workers TO tenantry_control",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON tenantry.gateway_worker_epochs TO tenantry_control",
    "GRANT SELECT, USAGE ON SEQUENCE tenantry.confirmations TO tenantry_control",
)


def upgrade() -> None:
    connection = op.get_bind()
    for statement in _STATEMENTS:
        run(connection, statement)
