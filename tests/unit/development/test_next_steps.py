"""The commands that `tenantry dev` prints are those of the project: its resources, its plans."""

import re
from pathlib import Path
from typing import Any

import pytest

from billing.plans.catalogue import Catalogue
from examples.crm.resources import MIGRATIONS, RESOURCES
from gateway.development.next_steps import Demo, next_steps
from gateway.development.project import Project
from tenants.resources.collection import collections_of
from tenants.resources.registry import Registry

CRM = Registry(collections_of(RESOURCES), (MIGRATIONS,))
KEYS = {role: f"key-of-{role}" for role in ("admin", "member", "viewer")}


def window(quota: int, seconds: int = 1) -> dict[str, Any]:
    return {"name": f"of-{seconds}", "quota": quota, "window_seconds": seconds}


def printed(registry: Registry = CRM, plan: str = "basic", notes: tuple[str, ...] = (), **windows: list[Any]) -> str:
    """The text for plans of these names, the cheapest first."""
    plans = [
        {"code": code, "name": code, "rank": rank, "windows": limits}
        for rank, (code, limits) in enumerate((windows or {"basic": [window(10)], "big": [window(99)]}).items())
    ]
    project = Project(registry, Catalogue.model_validate({"plans": plans}), list(notes))
    described = {
        "base_url": "http://127.0.0.1:8000",
        "mail_url": "http://mail",
        "stripe": {
            "api_base": "http://stripe",
            "api_key": "sk_test",
            "prices": {each: f"price_{each}" for each in windows or ("big",)},
        },
        "tenants": [{"slug": "acme", "keys": KEYS, "stripe_customer": "cus_1"}],
    }
    return next_steps(Demo(described, project, plan, Path("/data/demo.json"), Path("/data/tenantry.env")))


def test_requests_are_for_a_resource_that_exists() -> None:
    text = printed()
    assert f"curl -i http://127.0.0.1:8000/v1/contacts -H 'X-API-Key: {KEYS['member']}'" in text
    assert """-d '{"name": "Ada Lovelace"}'""" in text


def test_the_documentation_of_both_readers_is_named() -> None:
    text = printed()
    assert "documentation: http://127.0.0.1:8000/docs\n" in text
    assert "documentation: http://127.0.0.1:8000/operator/docs\n" in text


def test_without_resources_the_requests_are_for_management() -> None:
    text = printed(Registry())
    assert "/v1/me" in text
    assert "/v1/api-keys" in text
    assert "contacts" not in text
    assert "seq" not in text, "management is not charged to the plan"


def test_the_loop_exceeds_the_smallest_window() -> None:
    text = printed(basic=[window(10), window(100, 60)], big=[window(50)])
    assert "Plan basic allows 10 requests a second" in text
    assert "seq 1 30" in text
    assert re.search(r"curl [^;]*http://127.0.0.1:8000/v1/contacts", text[text.index("seq 1 30") :])
    assert "seq 1 110" in printed(basic=[window(1000), window(100, 60)])


@pytest.mark.parametrize("windows", [[window(1000)], [window(100_000, 3600)]])
def test_a_limit_that_no_loop_reaches_is_left_out(windows: list[Any]) -> None:
    assert "seq" not in printed(basic=windows)


def test_the_next_plan_is_the_one_to_buy() -> None:
    text = printed(basic=[window(10)], middle=[window(20)], big=[window(99)])
    assert "Buy plan middle (20 requests a second) at the Stripe stand-in" in text
    assert "-d customer=cus_1 -d 'items[0][price]=price_middle'" in text
    assert "Buy plan big" in printed(plan="middle", basic=[window(1)], middle=[window(2)], big=[window(3)])


def test_with_the_largest_plan_there_is_none_to_buy() -> None:
    assert "Buy" not in printed(plan="big")
    assert "Buy" not in printed(only=[window(1)], plan="only")


def test_notes_come_first() -> None:
    assert printed(notes=("something was written",)).startswith("\nNOTE: something was written\n")
