"""The first tables of the CRM: contacts, and the deals that refer to them."""

import sqlalchemy as sa
from alembic import op

revision: str = "crm_0001"
down_revision: str | tuple[str, ...] | None = None
branch_labels: tuple[str, ...] | None = ("crm",)
depends_on: str | tuple[str, ...] | None = "tenantry_0001"


def upgrade() -> None:
    op.create_table(
        "contacts",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=True),
        sa.Column("company", sa.String(length=200), nullable=True),
        sa.Column(
            "stage",
            sa.Enum(
                "new",
                "lead",
                "qualified",
                "customer",
                "lost",
                name="stage",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            server_default="lead",
            nullable=False,
        ),
        sa.Column("value_cents", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("notes", sa.String(length=10000), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint("value_cents >= 0", name=op.f("ck_contacts_value_cents")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contacts")),
    )
    op.create_index(op.f("ix_contacts_company_id"), "contacts", ["company", "id"], unique=False)
    op.create_index(op.f("ix_contacts_created_at_id"), "contacts", ["created_at", "id"], unique=False)
    op.create_index(op.f("ix_contacts_email"), "contacts", ["email"], unique=False)
    op.create_index(op.f("ix_contacts_name_id"), "contacts", ["name", "id"], unique=False)
    op.create_index(op.f("ix_contacts_updated_at_id"), "contacts", ["updated_at", "id"], unique=False)
    op.create_index(op.f("ix_contacts_value_cents_id"), "contacts", ["value_cents", "id"], unique=False)
    op.create_table(
        "deals",
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("contact_id", sa.Uuid(), nullable=True),
        sa.Column(
            "stage",
            sa.Enum(
                "new",
                "open",
                "qualified",
                "proposal",
                "negotiation",
                "won",
                "lost",
                name="stage",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            server_default="open",
            nullable=False,
        ),
        sa.Column("amount_cents", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("closes_on", sa.Date(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint("amount_cents >= 0", name=op.f("ck_deals_amount_cents")),
        sa.ForeignKeyConstraint(["contact_id"], ["contacts.id"], name=op.f("fk_deals_contact_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deals")),
    )
    op.create_index(op.f("ix_deals_amount_cents_id"), "deals", ["amount_cents", "id"], unique=False)
    op.create_index(op.f("ix_deals_closes_on_id"), "deals", ["closes_on", "id"], unique=False)
    op.create_index(op.f("ix_deals_contact_id"), "deals", ["contact_id"], unique=False)
    op.create_index(op.f("ix_deals_created_at_id"), "deals", ["created_at", "id"], unique=False)
    op.create_index(op.f("ix_deals_title_id"), "deals", ["title", "id"], unique=False)
    op.create_index(op.f("ix_deals_updated_at_id"), "deals", ["updated_at", "id"], unique=False)
