"""Deals: what a tenant may sell to its contacts."""

from datetime import date
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Date, Enum, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from tenantry import Resource, Rule, TenantModel

DEAL_STAGES = ("new", "open", "qualified", "proposal", "negotiation", "won", "lost")
CLOSED_STAGES = ("won", "lost")


class Deal(TenantModel):
    """A possible sale."""

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


deals = Resource(
    model=Deal,
    name="deals",
    singular="deal",
    description="Possible sales to your contacts.",
    writable=("title", "contact_id", "stage", "amount_cents", "closes_on"),
    filterable=("id", "title", "contact_id", "stage", "amount_cents", "closes_on", "created_at", "updated_at"),
    sortable=("created_at", "updated_at", "title", "amount_cents", "closes_on"),
    searchable=("title",),
    rules={
        "title": Rule(min_length=1, description="Title of the deal.", example="Two difference engines"),
        "contact_id": Rule(description="The contact that it may be sold to."),
        "stage": Rule(description="Sales stage.", example="open"),
        "amount_cents": Rule(minimum=0, description="Value in cents.", example=250_000),
        "closes_on": Rule(description="Expected day of the decision.", example="2026-12-31"),
    },
)
