"""Operations on the records of every resource: find, list in pages, expand references.

Source: https://docs.stripe.com/api/pagination and https://docs.stripe.com/api/expanding_objects.
"""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from gateway.development.stripe.errors import StripeError, no_such
from gateway.development.stripe.parameters import Page
from gateway.development.stripe.state import Change, Record

_NOUNS = {
    "customers": "customer",
    "products": "product",
    "prices": "price",
    "subscriptions": "subscription",
    "events": "notification",
    "webhook_endpoints": "webhook endpoint",
}
# (object, property) -> the collection that the property's id names
_EXPANDABLE = {
    ("subscription", "customer"): "customers",
    ("price", "product"): "products",
    ("plan", "product"): "products",
    ("product", "default_price"): "prices",
}
_DEEPEST = 4


def find(change: Change, collection: str, record_id: str, param: str | None = None) -> Record:
    """The record. Raises Stripe's 404, or 400 when ``param`` is the parameter that named it."""
    record = change.get(collection, record_id)
    if record is None or (param and record.get("deleted")):
        raise no_such(_NOUNS[collection], record_id, param)
    return record


def list_object(url: str, data: list[Record], *, has_more: bool = False) -> Record:
    """A list in Stripe's shape."""
    return {"object": "list", "data": data, "has_more": has_more, "url": url}


def page(
    change: Change,
    collection: str,
    query: Page,
    keep: Callable[[Record], bool] = lambda _: True,
) -> Record:
    """One page, newest first, of the records that match ``keep`` and the ``created`` range."""
    created = query.created
    records = (
        each
        for each in change.newest_first(collection)
        if not each.get("deleted") and (created is None or created.holds(each["created"])) and keep(each)
    )
    if query.ending_before:
        find(change, collection, query.ending_before, "ending_before")
        found = _before(records, query.ending_before)
        data, has_more = found[-query.limit :], len(found) > query.limit
    else:
        if query.starting_after:
            find(change, collection, query.starting_after, "starting_after")
            _before(records, query.starting_after)
        found = list(islice(records, query.limit + 1))
        data, has_more = found[: query.limit], len(found) > query.limit
    answer = list_object(f"/v1/{collection}", [change.get(collection, each["id"]) or each for each in data])
    return answer | {"has_more": has_more}


def _before(records: Iterable[Record], stop: str) -> list[Record]:
    # Consumes the iterator up to and including the record of that id.
    passed = []
    for each in records:
        if each["id"] == stop:
            break
        passed.append(each)
    return passed


def expand(change: Change, record: Record, paths: list[str]) -> Record:
    """Replace ids with the objects that they name, in place, along each dotted path."""
    for path in paths:
        steps = path.split(".")
        if len(steps) > _DEEPEST:
            raise StripeError(f"You cannot expand more than {_DEEPEST} levels of a property: {path}", param="expand")
        _expand(change, record, steps, path)
    return record


def _expand(change: Change, held: Any, steps: list[str], path: str) -> None:
    if isinstance(held, list):
        for each in held:
            _expand(change, each, steps, path)
        return
    name, *rest = steps
    if not isinstance(held, dict) or not (name in held or (held.get("object"), name) == ("customer", "subscriptions")):
        raise StripeError(f"This property cannot be expanded ({path}).", param="expand")
    held[name] = _expanded(change, held, name, path, last=not rest)
    if rest and held[name] is not None:
        _expand(change, held[name], rest, path)


def _expanded(change: Change, held: Record, name: str, path: str, *, last: bool) -> Any:
    if held["object"] == "customer" and name == "subscriptions":
        return _subscriptions_of(change, held["id"])
    value = held[name]
    collection = _EXPANDABLE.get((held["object"], name))
    if collection and isinstance(value, str):
        return change.get(collection, value)
    if last and not collection and value is not None:
        raise StripeError(f"This property cannot be expanded ({path}).", param="expand")
    return value


def _subscriptions_of(change: Change, customer: str) -> Record:
    # https://docs.stripe.com/api/customers/object: the customer's current subscriptions, included when expanded.
    data = [
        change.get("subscriptions", each["id"]) or each
        for each in change.newest_first("subscriptions")
        if each["customer"] == customer and each["status"] != "canceled"
    ]
    return list_object(f"/v1/customers/{customer}/subscriptions", data)
