"""SI2: parsing events, and which events are ignored."""

import json
from typing import Any

import pytest

from billing.settings import StripeSettings
from billing.stripe_events.event import EventUnreadable, read_event, reason_to_ignore

SETTINGS = StripeSettings("sk_test_x", ("whsec_x",), livemode=False)


def _event(**changes: Any) -> dict[str, Any]:
    subject = {"object": "subscription", "id": "sub_1", "customer": "cus_1"}
    event = {"id": "evt_1", "object": "event", "type": "customer.subscription.updated", "livemode": False, "created": 1}
    return event | {"data": {"object": subject}, "api_version": "2026-10-28.endive"} | changes


def _read(event: object) -> Any:
    return read_event(json.dumps(event).encode())


@pytest.mark.parametrize(
    ("subject", "customer"),
    [
        ({"object": "subscription", "customer": "cus_1"}, "cus_1"),
        ({"object": "subscription", "customer": {"id": "cus_1", "object": "customer"}}, "cus_1"),
        ({"object": "customer", "id": "cus_1"}, "cus_1"),
        ({"object": "invoice", "id": "in_1", "customer": None}, None),
        ({"object": "product", "id": "prod_1"}, None),
        ({"object": "subscription", "customer": ["cus_1"]}, None),
        ({"object": "subscription", "customer": "tnt_1", "metadata": {"customer": "cus_2"}}, None),
    ],
)
def test_the_customer_is_that_of_the_events_object(subject: dict[str, Any], customer: str | None) -> None:
    """SI8."""
    assert _read(_event(data={"object": subject})).customer == customer


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"type": "customer.deleted", "data": {"object": {"object": "customer", "id": "cus_1"}}}, None),
        ({"livemode": True}, "livemode"),
        ({"account": "acct_1"}, "account"),
        ({"type": "payout.paid"}, "type"),
        ({"data": {"object": {"object": "subscription"}}}, "no customer"),
    ],
)
def test_irrelevant_events_are_ignored(changes: dict[str, Any], reason: str | None) -> None:
    """SI2."""
    found = reason_to_ignore(_read(_event(**changes)), SETTINGS)
    assert (found is None) if reason is None else (found is not None and reason in found)


@pytest.mark.parametrize(
    "event",
    [
        [],
        "evt_1",
        _event(id="1"),
        _event(id=None),
        _event(object="v2.core.event"),
        _event(livemode="false"),
        _event(created=-1),
        _event(created=10**15),
        _event(data=None),
        {"id": "evt_1"},
    ],
)
def test_anything_but_a_snapshot_event_is_unreadable(event: object) -> None:
    with pytest.raises(EventUnreadable):
        _read(event)


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"[" * 100_000, b'{"id": NaN}'])
def test_invalid_json_is_unreadable(raw: bytes) -> None:
    with pytest.raises(EventUnreadable):
        read_event(raw)
