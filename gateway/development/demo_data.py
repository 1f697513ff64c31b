"""The demo's tenants, with invented contacts and deals for when the example CRM is served."""

from dataclasses import dataclass
from typing import Any

DEMO_RESOURCES = "examples.crm.resources"
KEY_ROLES = ("admin", "member", "viewer")
USER_ROLES = ("owner", "admin", "member", "viewer")


@dataclass(frozen=True, slots=True)
class DemoTenant:
    """``contacts`` and ``deals`` are those of ``examples.crm.resources``; other projects start with empty tables."""

    slug: str
    name: str
    plan: int  # position among the catalogue's plans by rank; the last one where there are fewer
    contacts: tuple[dict[str, Any], ...]
    deals: tuple[tuple[int, dict[str, Any]], ...]  # position of the contact, and the deal


TENANTS = (
    DemoTenant(
        slug="acme",
        name="Acme Instruments",
        plan=0,
        contacts=(
            {
                "name": "Ada Lovelace",
                "email": "ada@analytical.example",
                "company": "Analytical Engines",
                "stage": "customer",
                "value_cents": 1_250_000,
                "notes": "Prefers letters; answers the same day.",
            },
            {
                "name": "Charles Babbage",
                "email": "charles@analytical.example",
                "company": "Analytical Engines",
                "stage": "qualified",
                "value_cents": 480_000,
            },
            {"name": "Mary Somerville", "email": "mary@jedburgh.example", "company": "Jedburgh Press", "stage": "lead"},
            {"name": "John Herschel", "email": "john@observatory.example", "company": "Observatory", "stage": "new"},
            {"name": "Luigi Menabrea", "email": "luigi@turin.example", "company": "Turin Institute", "stage": "lost"},
        ),
        deals=(
            (0, {"title": "Twelve brass gears", "stage": "won", "amount_cents": 96_000}),
            (0, {"title": "Punched cards, a year's supply", "stage": "proposal", "amount_cents": 240_000}),
            (1, {"title": "Difference engine, refitted", "stage": "negotiation", "amount_cents": 480_000}),
        ),
    ),
    DemoTenant(
        slug="globex",
        name="Globex Shipping",
        plan=1,
        contacts=(
            {
                "name": "Grace Hopper",
                "email": "grace@harbour.example",
                "company": "Harbour Lines",
                "stage": "customer",
                "value_cents": 9_900_000,
            },
            # Also a contact of Acme: two tenants' rows about the same person are independent.
            {
                "name": "Ada Lovelace",
                "email": "ada@analytical.example",
                "company": "Analytical Engines",
                "stage": "lead",
            },
            {"name": "Katherine Johnson", "email": "katherine@orbit.example", "company": "Orbit Freight"},
        ),
        deals=(
            (0, {"title": "Forty containers to Rotterdam", "stage": "won", "amount_cents": 7_200_000}),
            (2, {"title": "Trial shipment", "stage": "open", "amount_cents": 150_000}),
        ),
    ),
)


def email_of(role: str, slug: str) -> str:
    """The address of the demo user with that role."""
    return f"{role}@{slug}.example"
