"""A small CRM: people (contacts) and what might be sold to them (deals). The rest of its API is Tenantry's."""

from datetime import date
from pathlib import Path
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Date, Enum, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from tenantry import Resource, Rule, TenantModel

CONTACT_STAGES = ("new", "lead", "qualified", "customer", "lost")
DEAL_STAGES = ("new", "open", "qualified", "proposal", "negotiation", "won", "lost")

_EMAIL = r"^[^@\s]+@[^@\s.]+(\.[^@\s.]+)+$"  # plausible; only a message that arrives proves an address


class Contact(TenantModel):
    """A person, or a company that is spoken to."""

    __tablename__ = "contacts"
    __table_args__ = (
        CheckConstraint("value_cents >= 0", name="value_cents"),
        Index(None, "created_at", "id"),
        Index(None, "updated_at", "id"),
        Index(None, "name", "id"),
        Index(None, "company", "id"),
        Index(None, "value_cents", "id"),
        Index(None, "email"),
    )

    name: Mapped[str] = mapped_column(String(200))
    email: Mapped[str | None] = mapped_column(String(254))
    company: Mapped[str | None] = mapped_column(String(200))
    stage: Mapped[str] = mapped_column(
        Enum(*CONTACT_STAGES, name="stage", native_enum=False, create_constraint=True, length=20), server_default="lead"
    )
    value_cents: Mapped[int] = mapped_column(BigInteger, server_default="0")
    notes: Mapped[str | None] = mapped_column(String(10_000))  # a page holds a hundred of them


class Deal(TenantModel):
    """Something that a contact may buy."""

    __tablename__ = "deals"
    __table_args__ = (
        CheckConstraint("amount_cents >= 0", name="amount_cents"),
        Index(None, "created_at", "id"),
        Index(None, "updated_at", "id"),
        Index(None, "title", "id"),
        Index(None, "amount_cents", "id"),
        Index(None, "closes_on", "id"),
        Index(None, "contact_id"),
    )

    title: Mapped[str] = mapped_column(String(200))
    contact_id: Mapped[UUID | None] = mapped_column(ForeignKey("contacts.id"))
    stage: Mapped[str] = mapped_column(
        Enum(*DEAL_STAGES, name="stage", native_enum=False, create_constraint=True, length=20), server_default="open"
    )
    amount_cents: Mapped[int] = mapped_column(BigInteger, server_default="0")
    closes_on: Mapped[date | None] = mapped_column(Date)


contacts = Resource(
    model=Contact,
    name="contacts",
    singular="contact",
    description="People and companies that you sell to.",
    writable=("name", "email", "company", "stage", "value_cents", "notes"),
    filterable=("id", "name", "email", "company", "stage", "value_cents", "created_at", "updated_at"),
    sortable=("created_at", "updated_at", "name", "company", "value_cents"),
    searchable=("name", "email", "company"),
    rules={
        "name": Rule(min_length=1, description="What the contact is called.", example="Ada Lovelace"),
        "email": Rule(pattern=_EMAIL, description="Where to write to.", example="ada@example.com"),
        "company": Rule(description="Who they work for.", example="Analytical Engines"),
        "stage": Rule(description="How far you are with them.", example="lead"),
        "value_cents": Rule(minimum=0, description="What they may be worth, in cents.", example=120_000),
        "notes": Rule(description="Anything worth remembering.", example="Prefers letters."),
    },
)

deals = Resource(
    model=Deal,
    name="deals",
    singular="deal",
    description="What your contacts may buy.",
    writable=("title", "contact_id", "stage", "amount_cents", "closes_on"),
    filterable=("id", "title", "contact_id", "stage", "amount_cents", "closes_on", "created_at", "updated_at"),
    sortable=("created_at", "updated_at", "title", "amount_cents", "closes_on"),
    searchable=("title",),
    rules={
        "title": Rule(min_length=1, description="What is to be sold.", example="Two difference engines"),
        "contact_id": Rule(description="Whom it is to be sold to."),
        "stage": Rule(description="How far it has come.", example="open"),
        "amount_cents": Rule(minimum=0, description="What it is worth, in cents.", example=250_000),
        "closes_on": Rule(description="The day it should be decided.", example="2026-12-31"),
    },
)

RESOURCES = (contacts, deals)
MIGRATIONS = Path(__file__).parent / "migrations"
