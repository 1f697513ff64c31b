"""Customers. Source: https://docs.stripe.com/api/customers."""

from typing import Literal

from gateway.development.stripe.errors import no_such
from gateway.development.stripe.events import record_event
from gateway.development.stripe.objects import expand, find, page
from gateway.development.stripe.parameters import (
    Array,
    Clearable,
    Expandable,
    Metadata,
    Page,
    Parameters,
    Text,
    merge_metadata,
)
from gateway.development.stripe.requests import AnyEndpoint, Endpoint
from gateway.development.stripe.state import Change, Record, new_id
from gateway.development.stripe.subscription_lifecycle import cancel_all_of

_PLAIN = ("address", "description", "email", "name", "phone", "preferred_locales", "tax_exempt")


class Address(Parameters):
    city: Clearable[str] = None
    country: Clearable[str] = None
    line1: Clearable[str] = None
    line2: Clearable[str] = None
    postal_code: Clearable[str] = None
    state: Clearable[str] = None


class InvoiceSettings(Parameters):
    default_payment_method: Clearable[Text] = None


class CustomerWrite(Expandable):
    address: Clearable[Address] = None
    description: Clearable[Text] = None
    email: Clearable[Text] = None
    invoice_settings: InvoiceSettings | None = None
    metadata: Metadata = None
    name: Clearable[Text] = None
    phone: Clearable[Text] = None
    preferred_locales: Array[Text] | None = None
    tax_exempt: Clearable[Literal["exempt", "none", "reverse"]] = None


class CustomerList(Page):
    email: Text | None = None


def _new(change: Change) -> Record:
    customer_id = new_id("cus")
    return {
        "id": customer_id,
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": change.now,
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "invoice_prefix": customer_id[-8:].upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": {},
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }


def _write(customer: Record, given: CustomerWrite) -> Record:
    sent = given.given(*_PLAIN)
    if "tax_exempt" in sent and sent["tax_exempt"] is None:
        sent["tax_exempt"] = "none"
    customer |= sent
    if given.invoice_settings:
        customer["invoice_settings"] |= given.invoice_settings.given("default_payment_method")
    if "metadata" in given.model_fields_set:
        customer["metadata"] = merge_metadata(customer["metadata"], given.metadata)
    return customer


def _create(change: Change, given: CustomerWrite, _: str) -> Record:
    customer = _write(_new(change), given)
    change.put("customers", customer)
    record_event(change, "customer.created", customer)
    return expand(change, customer, given.expand)


def _retrieve(change: Change, given: Expandable, customer_id: str) -> Record:
    return expand(change, find(change, "customers", customer_id), given.expand)


def _update(change: Change, given: CustomerWrite, customer_id: str) -> Record:
    before = _current(change, customer_id)
    customer = _write(_current(change, customer_id), given)
    change.put("customers", customer)
    record_event(change, "customer.updated", customer, before)
    return expand(change, customer, given.expand)


def _delete(change: Change, _given: Parameters, customer_id: str) -> Record:
    """Cancels the customer's subscriptions at once; the id can still be read, as deleted."""
    customer = _current(change, customer_id)
    cancel_all_of(change, customer_id)
    stub = {"id": customer_id, "object": "customer", "deleted": True}
    change.put("customers", stub)
    record_event(change, "customer.deleted", customer)
    return stub


def _current(change: Change, customer_id: str) -> Record:
    # A deleted customer can be read, but not changed.
    customer = find(change, "customers", customer_id)
    if customer.get("deleted"):
        raise no_such("customer", customer_id)
    return customer


def _list(change: Change, given: CustomerList, _: str) -> Record:
    found = page(change, "customers", given, lambda each: given.email in {None, each["email"]})
    return expand(change, found, given.expand)


ENDPOINTS: tuple[AnyEndpoint, ...] = (
    Endpoint("POST", "/customers", CustomerWrite, _create),
    Endpoint("GET", "/customers", CustomerList, _list),
    Endpoint("GET", "/customers/{id}", Expandable, _retrieve),
    Endpoint("POST", "/customers/{id}", CustomerWrite, _update),
    Endpoint("DELETE", "/customers/{id}", Parameters, _delete),
)
