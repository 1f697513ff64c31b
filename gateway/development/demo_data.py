"""Who the demo's tenants are, and what they have: invented people, who sell invented things."""

from dataclasses import dataclass
from typing import Any

KEY_ROLES = ("admin", "member", "viewer")
USER_ROLES = ("owner", "admin", "member", "viewer")


@dataclass(frozen=True, slots=True)
class DemoTenant:
    slug: str
    name: str
    plan: str
    contacts: tuple[dict[str, Any], ...]
    deals: tuple[tuple[int, dict[str, Any]], ...]  # position of the contact, and the deal


TENANTS = (
    DemoTenant(
        slug="acme",
        name="Acme Instruments",
        plan="free",
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
        plan="pro",
        contacts=(
            {
                "name": "Grace Hopper",
                "email": "grace@harbour.example",
                "company": "Harbour Lines",
                "stage": "customer",
                "value_cents": 9_900_000,
            },
            # The same person as one of Acme's: what two tenants write down about someone never meets.
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
    """The demo's users are called after what they may do."""
    return f"{role}@{slug}.example"
