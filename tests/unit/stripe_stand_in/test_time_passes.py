"""Changes of subscriptions with time, by a clock that the test moves."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.development.stripe import customers, prices, subscriptions
from gateway.development.stripe.requests import AnyEndpoint
from gateway.development.stripe.state import Record, State
from gateway.development.stripe.subscription_lifecycle import DECLINED, pass_time

_DAY = 86400
_MONTH = 31 * _DAY
_START = 1_800_000_000


class StandIn:
    """The stand-in without HTTP."""

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
def stand_in(tmp_path: Path) -> Iterator[StandIn]:
    stand_in = StandIn(tmp_path)
    yield stand_in
    stand_in.state.close()


def test_a_period_that_ends_is_followed_by_the_next(stand_in: StandIn) -> None:
    bought = stand_in.subscribe()
    renewed = stand_in.after(_MONTH, bought)
    assert renewed["status"] == "active"
    (item,) = renewed["items"]["data"]
    assert item["current_period_start"] == bought["items"]["data"][0]["current_period_end"]
    assert stand_in.told()[0] == "customer.subscription.updated"


def test_before_something_is_due_there_is_no_event(stand_in: StandIn) -> None:
    bought = stand_in.subscribe()
    told = stand_in.told()
    assert stand_in.after(_DAY, bought) == bought
    assert stand_in.told() == told


def test_a_declined_renewal_is_past_due(stand_in: StandIn) -> None:
    bought = stand_in.subscribe(trial_period_days="7", default_payment_method=DECLINED)
    assert bought["status"] == "trialing"
    assert stand_in.after(7 * _DAY, bought)["status"] == "past_due"


def test_cancel_at_period_end_cancels_it_at_that_time(stand_in: StandIn) -> None:
    bought = stand_in.subscribe(cancel_at_period_end="true")
    assert stand_in.after(27 * _DAY, bought)["status"] == "active"
    assert stand_in.after(4 * _DAY, bought)["status"] == "canceled"
    assert stand_in.told()[0] == "customer.subscription.deleted"


def test_an_unpaid_first_payment_expires_after_23_hours(stand_in: StandIn) -> None:
    bought = stand_in.subscribe(payment_behavior="default_incomplete")
    assert stand_in.after(22 * 3600, bought)["status"] == "incomplete"
    assert stand_in.after(3600, bought)["status"] == "incomplete_expired"


def test_an_incomplete_last_line_is_dropped(stand_in: StandIn, tmp_path: Path) -> None:
    bought = stand_in.subscribe()
    stand_in.state.close()
    journal = tmp_path / "stripe.journal"
    with journal.open("a") as file:
        file.write('[["subscriptions","' + bought["id"])
    again = State(journal, lambda: _START)
    with again.change() as change:
        assert change.get("subscriptions", bought["id"]) == bought
    again.close()
    assert journal.stat().st_mode & 0o077 == 0


def test_a_change_that_raises_is_discarded(stand_in: StandIn) -> None:
    told = stand_in.told()

    def fail() -> None:
        with stand_in.state.change() as change:
            change.put("customers", {"id": "cus_never"})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with stand_in.state.change() as change:
        assert change.get("customers", "cus_never") is None
    assert stand_in.told() == told


def test_events_older_than_thirty_days_are_dropped_at_start(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.subscribe()
    stand_in.state.close()
    later = State(tmp_path / "stripe.journal", lambda: _START + 31 * _DAY)
    with later.change() as change:
        assert list(change.newest_first("events")) == []
        assert len(list(change.newest_first("subscriptions"))) == 1
    later.close()
