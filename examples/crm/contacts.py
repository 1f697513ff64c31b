"""Contacts: the people and companies that a tenant sells to."""

from sqlalchemy import BigInteger, CheckConstraint, Enum, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from tenantry import Resource, Rule, TenantModel

CONTACT_STAGES = ("new", "lead", "qualified", "customer", "lost")

_EMAIL = r"^[^@\s]+@[^@\s.]+(\.[^@\s.]+)+$"  # plausible; only a delivered message proves an address


class Contact(TenantModel):
    """A person or a company."""

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
        "name": Rule(min_length=1, description="Name of the contact.", example="Ada Lovelace"),
        "email": Rule(pattern=_EMAIL, description="Email address.", example="ada@example.com"),
        "company": Rule(description="Employer.", example="Analytical Engines"),
        "stage": Rule(description="Sales stage.", example="lead"),
        "value_cents": Rule(minimum=0, description="Estimated value in cents.", example=120_000),
        "notes": Rule(description="Free text.", example="Prefers letters."),
    },
)
