"""What time alone does to subscriptions, by a clock that the test moves."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.development.stripe import customers, prices, subscriptions
from gateway.development.stripe.endpoint import AnyEndpoint
from gateway.development.stripe.state import Record, State
from gateway.development.stripe.subscription_life import DECLINED, pass_time

_DAY = 86400
_MONTH = 31 * _DAY
_START = 1_800_000_000


class Shop:
    """A stand-in without its HTTP."""

    def __init__(self, folder: Path) -> None:
        self.time = _START
        self.state = State(folder / "stripe.journal", lambda: self.time)

    def call(self, endpoints: tuple[AnyEndpoint, ...], method: str, object_id: str = "", **sent: Any) -> Record:
        path_ends = "{id}" if object_id else ""
        endpoint = next(each for each in endpoints if each.method == method and each.path.endswith(path_ends))
        with self.state.change() as change:
            return endpoint.handler(change, endpoint.parameters.model_validate(sent), object_id)

    def subscribe(self, **sent: Any) -> Record:
        price = self.call(
            prices.ENDPOINTS,
            "POST",
            currency="usd",
            unit_amount="5",
            recurring={"interval": "month"},
            product_data={"name": "Pro"},
        )
        customer = self.call(customers.ENDPOINTS, "POST")
        items = [{"price": price["id"]}]
        return self.call(subscriptions.ENDPOINTS, "POST", customer=customer["id"], items=items, **sent)

    def after(self, seconds: int, subscription: Record) -> Record:
        self.time += seconds
        with self.state.change() as change:
            pass_time(change)
        with self.state.change() as change:
            found = change.get("subscriptions", subscription["id"])
        assert found is not None
        return found

    def told(self) -> list[str]:
        with self.state.change() as change:
            return [each["type"] for each in change.newest_first("events")]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path)
    yield shop
    shop.state.close()


def test_a_period_that_ends_is_followed_by_the_next(shop: Shop) -> None:
    bought = shop.subscribe()
    renewed = shop.after(_MONTH, bought)
    assert renewed["status"] == "active"
    (item,) = renewed["items"]["data"]
    assert item["current_period_start"] == bought["items"]["data"][0]["current_period_end"]
    assert shop.told()[0] == "customer.subscription.updated"


def test_nothing_is_told_before_something_falls_due(shop: Shop) -> None:
    bought = shop.subscribe()
    told = shop.told()
    assert shop.after(_DAY, bought) == bought
    assert shop.told() == told


def test_a_declined_renewal_is_past_due(shop: Shop) -> None:
    bought = shop.subscribe(trial_period_days="7", default_payment_method=DECLINED)
    assert bought["status"] == "trialing"
    assert shop.after(7 * _DAY, bought)["status"] == "past_due"


def test_cancel_at_period_end_ends_it_then_and_not_before(shop: Shop) -> None:
    bought = shop.subscribe(cancel_at_period_end="true")
    assert shop.after(27 * _DAY, bought)["status"] == "active"
    assert shop.after(4 * _DAY, bought)["status"] == "canceled"
    assert shop.told()[0] == "customer.subscription.deleted"


def test_an_unpaid_first_payment_expires_after_23_hours(shop: Shop) -> None:
    bought = shop.subscribe(payment_behavior="default_incomplete")
    assert shop.after(22 * 3600, bought)["status"] == "incomplete"
    assert shop.after(3600, bought)["status"] == "incomplete_expired"


def test_a_torn_last_line_is_dropped_and_all_before_it_kept(shop: Shop, tmp_path: Path) -> None:
    bought = shop.subscribe()
    shop.state.close()
    journal = tmp_path / "stripe.journal"
    with journal.open("a") as file:
        file.write('[["subscriptions","' + bought["id"])
    again = State(journal, lambda: _START)
    with again.change() as change:
        assert change.get("subscriptions", bought["id"]) == bought
    again.close()
    assert journal.stat().st_mode & 0o077 == 0


def test_a_change_that_raises_leaves_nothing(shop: Shop) -> None:
    told = shop.told()

    def fail() -> None:
        with shop.state.change() as change:
            change.put("customers", {"id": "cus_never"})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with shop.state.change() as change:
        assert change.get("customers", "cus_never") is None
    assert shop.told() == told


def test_events_are_forgotten_after_thirty_days_at_start(shop: Shop, tmp_path: Path) -> None:
    shop.subscribe()
    shop.state.close()
    later = State(tmp_path / "stripe.journal", lambda: _START + 31 * _DAY)
    with later.change() as change:
        assert list(change.newest_first("events")) == []
        assert len(list(change.newest_first("subscriptions"))) == 1
    later.close()
