"""The control tables and the control role's privileges on them."""

from alembic import op

from migrations.raw import run

revision: str = "0001"
down_revision: str | None = None
branch_labels: tuple[str, ...] | None = None
depends_on: tuple[str, ...] | None = None

_TABLES = {
    "plans": """
        code text CONSTRAINT pk_plans PRIMARY KEY,
        name text NOT NULL,
        rank integer NOT NULL,
        windows jsonb NOT NULL,
        monthly_quota bigint,
        features jsonb NOT NULL,
        stripe_price_id text CONSTRAINT uq_plans_stripe_price_id UNIQUE,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now()
    """,
    "tenants": """
        id uuid CONSTRAINT pk_tenants PRIMARY KEY,
        slug text NOT NULL CONSTRAINT uq_tenants_slug UNIQUE
            CONSTRAINT ck_tenants_slug CHECK (slug ~ '^[a-z][a-z0-9-]{1,38}[a-z0-9]$'),
        name text NOT NULL,
        status text NOT NULL DEFAULT 'active' CONSTRAINT ck_tenants_status CHECK (status IN ('active', 'suspended')),
        plan_code text NOT NULL CONSTRAINT fk_tenants_plan_code REFERENCES tenantry.plans (code),
        stripe_customer_id text CONSTRAINT uq_tenants_stripe_customer_id UNIQUE,
        migration_failed_at timestamptz,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now()
    """,
    "users": """
        id uuid CONSTRAINT pk_users PRIMARY KEY,
        email text NOT NULL,
        name text NOT NULL DEFAULT '',
        password_hash text,
        disabled_at timestamptz,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now()
    """,
    "memberships": """
        tenant_id uuid NOT NULL
            CONSTRAINT fk_memberships_tenant_id REFERENCES tenantry.tenants (id) ON DELETE CASCADE,
        user_id uuid NOT NULL
            CONSTRAINT fk_memberships_user_id REFERENCES tenantry.users (id) ON DELETE CASCADE,
        roles text[] NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_memberships PRIMARY KEY (tenant_id, user_id)
    """,
    "api_keys": """
        id uuid CONSTRAINT pk_api_keys PRIMARY KEY,
        tenant_id uuid NOT NULL
            CONSTRAINT fk_api_keys_tenant_id REFERENCES tenantry.tenants (id) ON DELETE CASCADE,
        name text NOT NULL,
        role text NOT NULL,
        scopes text[],
        environment text NOT NULL DEFAULT 'live'
            CONSTRAINT ck_api_keys_environment CHECK (environment IN ('live', 'test')),
        prefix text NOT NULL,
        last4 text NOT NULL,
        digest bytea NOT NULL CONSTRAINT uq_api_keys_digest UNIQUE,
        pepper_version smallint NOT NULL,
        allowed_cidrs text[] NOT NULL DEFAULT '{}',
        limits jsonb NOT NULL DEFAULT '[]',
        created_by_user_id uuid
            CONSTRAINT fk_api_keys_created_by_user_id REFERENCES tenantry.users (id) ON DELETE SET NULL,
        rotated_from_id uuid
            CONSTRAINT fk_api_keys_rotated_from_id REFERENCES tenantry.api_keys (id) ON DELETE SET NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz,
        revoked_at timestamptz
    """,
    "operator_keys": """
        id uuid CONSTRAINT pk_operator_keys PRIMARY KEY,
        name text NOT NULL,
        prefix text NOT NULL,
        last4 text NOT NULL,
        digest bytea NOT NULL CONSTRAINT uq_operator_keys_digest UNIQUE,
        pepper_version smallint NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz,
        revoked_at timestamptz
    """,
    "refresh_tokens": """
        id uuid CONSTRAINT pk_refresh_tokens PRIMARY KEY,
        family_id uuid NOT NULL,
        user_id uuid NOT NULL
            CONSTRAINT fk_refresh_tokens_user_id REFERENCES tenantry.users (id) ON DELETE CASCADE,
        tenant_id uuid NOT NULL
            CONSTRAINT fk_refresh_tokens_tenant_id REFERENCES tenantry.tenants (id) ON DELETE CASCADE,
        digest bytea NOT NULL CONSTRAINT uq_refresh_tokens_digest UNIQUE,
        issued_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz NOT NULL,
        used_at timestamptz,
        successor_sealed bytea,
        family_ended_at timestamptz
    """,
    "subscriptions": """
        stripe_id text CONSTRAINT pk_subscriptions PRIMARY KEY,
        tenant_id uuid NOT NULL
            CONSTRAINT fk_subscriptions_tenant_id REFERENCES tenantry.tenants (id) ON DELETE CASCADE,
        status text NOT NULL,
        stripe_price_id text,
        plan_code text CONSTRAINT fk_subscriptions_plan_code REFERENCES tenantry.plans (code),
        current_period_start timestamptz,
        current_period_end timestamptz,
        cancel_at_period_end boolean NOT NULL DEFAULT false,
        read_at timestamptz NOT NULL DEFAULT now()
    """,
    "stripe_events": """
        id text CONSTRAINT pk_stripe_events PRIMARY KEY,
        type text NOT NULL,
        account text,
        livemode boolean NOT NULL,
        created timestamptz NOT NULL,
        payload bytea NOT NULL,
        received_at timestamptz NOT NULL DEFAULT now(),
        status text NOT NULL DEFAULT 'received'
            CONSTRAINT ck_stripe_events_status CHECK (status IN ('received', 'applied', 'ignored', 'failed')),
        attempts integer NOT NULL DEFAULT 0,
        last_error text,
        applied_at timestamptz
    """,
}

_INDEXES = (
    "CREATE UNIQUE INDEX uq_users_email ON tenantry.users (lower(email))",
    "CREATE INDEX ix_memberships_user_id ON tenantry.memberships (user_id)",
    "CREATE INDEX ix_api_keys_tenant_id ON tenantry.api_keys (tenant_id)",
    "CREATE INDEX ix_refresh_tokens_family_id ON tenantry.refresh_tokens (family_id)",
    "CREATE INDEX ix_refresh_tokens_user_id ON tenantry.refresh_tokens (user_id, tenant_id)",
    "CREATE INDEX ix_subscriptions_tenant_id ON tenantry.subscriptions (tenant_id)",
    "CREATE INDEX ix_stripe_events_received_at ON tenantry.stripe_events (received_at)",
)


def upgrade() -> None:
    connection = op.get_bind()
    run(connection, "GRANT USAGE ON SCHEMA tenantry TO tenantry_control")
    for table, columns in _TABLES.items():
        run(connection, f"CREATE TABLE tenantry.{table} ({columns})")
        run(connection, f"GRANT SELECT, INSERT, UPDATE, DELETE ON tenantry.{table} TO tenantry_control")
    for index in _INDEXES:
        run(connection, index)
