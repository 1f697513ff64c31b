"""Prices: per unit, one-time or recurring. Source: https://docs.stripe.com/api/prices.

Tiers, metered use and currency options come with metered billing; until then their parameters are refused.
"""

from typing import Annotated, Literal

from pydantic import Field

from gateway.development.stripe.errors import StripeError
from gateway.development.stripe.events import record_event
from gateway.development.stripe.objects import expand, find, page
from gateway.development.stripe.parameters import (
    Array,
    Boolean,
    Clearable,
    Expandable,
    Integer,
    Metadata,
    Natural,
    Page,
    Parameters,
    Text,
    merge_metadata,
)
from gateway.development.stripe.products import add_product, new_product
from gateway.development.stripe.requests import AnyEndpoint, Endpoint
from gateway.development.stripe.state import Change, Record, new_id

_PLAIN = ("active", "nickname", "tax_behavior")
TaxBehavior = Literal["exclusive", "inclusive", "unspecified"]
Interval = Literal["day", "week", "month", "year"]


class Recurring(Parameters):
    interval: Interval
    interval_count: Annotated[Integer, Field(ge=1, le=1095)] = 1
    usage_type: Literal["licensed"] = "licensed"


class ProductData(Parameters):
    name: Text
    metadata: Metadata = None


class PriceFields(Expandable):
    active: Boolean = True
    lookup_key: Clearable[Text] = None
    metadata: Metadata = None
    nickname: Clearable[Text] = None
    tax_behavior: TaxBehavior = "unspecified"
    transfer_lookup_key: Boolean = False


class PriceCreate(PriceFields):
    billing_scheme: Literal["per_unit"] = "per_unit"
    currency: Annotated[str, Field(pattern="^[A-Za-z]{3}$")]
    product: Text | None = None
    product_data: ProductData | None = None
    recurring: Recurring | None = None
    unit_amount: Natural


class RecurringFilter(Parameters):
    interval: Interval | None = None


class PriceList(Page):
    active: Boolean | None = None
    currency: Text | None = None
    lookup_keys: Array[Text] | None = None
    product: Text | None = None
    recurring: RecurringFilter | None = None
    type: Literal["one_time", "recurring"] | None = None


def _create(change: Change, given: PriceCreate, _: str) -> Record:
    recurring = given.recurring
    price = {
        "id": new_id("price"),
        "object": "price",
        "active": given.active,
        "billing_scheme": given.billing_scheme,
        "created": change.now,
        "currency": given.currency.lower(),
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": None,
        "metadata": merge_metadata({}, given.metadata),
        "nickname": given.nickname,
        "product": _product_of(change, given),
        "recurring": recurring and recurring.model_dump() | {"meter": None, "trial_period_days": None},
        "tax_behavior": given.tax_behavior,
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "recurring" if recurring else "one_time",
        "unit_amount": given.unit_amount,
        "unit_amount_decimal": str(given.unit_amount),
    }
    _take_lookup_key(change, price, given)
    change.put("prices", price)
    record_event(change, "price.created", price)
    return expand(change, price, given.expand)


def _product_of(change: Change, given: PriceCreate) -> str:
    if given.product_data:
        product = new_product(change, given.product_data.name)
        product["metadata"] = merge_metadata({}, given.product_data.metadata)
        add_product(change, product)
        return str(product["id"])
    if given.product is None:
        raise StripeError("Missing required param: product.", code="parameter_missing", param="product")
    return str(find(change, "products", given.product, "product")["id"])


def _take_lookup_key(change: Change, price: Record, given: PriceFields) -> None:
    """A lookup key names one active price; ``transfer_lookup_key`` moves it from the price that has it."""
    if "lookup_key" not in given.model_fields_set:
        return
    for other in list(change.newest_first("prices")):
        if given.lookup_key and other["lookup_key"] == given.lookup_key and other["id"] != price["id"]:
            if not given.transfer_lookup_key:
                message = f"A price (`{other['id']}`) already uses that lookup key."
                raise StripeError(message, code="resource_already_exists", param="lookup_key")
            change.put("prices", other | {"lookup_key": None})
            record_event(change, "price.updated", other | {"lookup_key": None}, other)
    price["lookup_key"] = given.lookup_key


def _retrieve(change: Change, given: Expandable, price_id: str) -> Record:
    return expand(change, find(change, "prices", price_id), given.expand)


def _update(change: Change, given: PriceFields, price_id: str) -> Record:
    before, price = find(change, "prices", price_id), find(change, "prices", price_id)
    price |= given.given(*_PLAIN)
    if "metadata" in given.model_fields_set:
        price["metadata"] = merge_metadata(price["metadata"], given.metadata)
    _take_lookup_key(change, price, given)
    change.put("prices", price)
    record_event(change, "price.updated", price, before)
    return expand(change, price, given.expand)


def _list(change: Change, given: PriceList, _: str) -> Record:
    interval = given.recurring and given.recurring.interval

    def keep(price: Record) -> bool:
        return (
            given.active in {None, price["active"]}
            and given.currency in {None, price["currency"]}
            and (given.lookup_keys is None or price["lookup_key"] in given.lookup_keys)
            and given.product in {None, price["product"]}
            and given.type in {None, price["type"]}
            and (interval is None or (price["recurring"] or {}).get("interval") == interval)
        )

    return expand(change, page(change, "prices", given, keep), given.expand)


ENDPOINTS: tuple[AnyEndpoint, ...] = (
    Endpoint("POST", "/prices", PriceCreate, _create),
    Endpoint("GET", "/prices", PriceList, _list),
    Endpoint("GET", "/prices/{id}", Expandable, _retrieve),
    Endpoint("POST", "/prices/{id}", PriceFields, _update),
)
