"""Products. Source: https://docs.stripe.com/api/products."""

from pydantic import Field

from gateway.development.stripe.errors import StripeError
from gateway.development.stripe.events import record_event
from gateway.development.stripe.objects import expand, find, page
from gateway.development.stripe.parameters import (
    Array,
    Boolean,
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

_PLAIN = ("active", "default_price", "description", "images", "name", "statement_descriptor", "unit_label", "url")


class ProductFields(Expandable):
    active: Boolean = True
    description: Clearable[Text] = None
    images: Array[Text] = Field(default_factory=list)
    metadata: Metadata = None
    statement_descriptor: Clearable[Text] = None
    unit_label: Clearable[Text] = None
    url: Clearable[Text] = None


class ProductCreate(ProductFields):
    id: Text | None = None
    name: Text


class ProductUpdate(ProductFields):
    default_price: Text | None = None
    name: Text | None = None


class ProductList(Page):
    active: Boolean | None = None
    ids: Array[Text] | None = None
    url: Text | None = None


def new_product(change: Change, name: str, product_id: str | None = None) -> Record:
    """A new product in Stripe's shape; the caller puts it into the change."""
    return {
        "id": product_id or new_id("prod"),
        "object": "product",
        "active": True,
        "created": change.now,
        "default_price": None,
        "description": None,
        "images": [],
        "livemode": False,
        "marketing_features": [],
        "metadata": {},
        "name": name,
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": None,
        "tax_code": None,
        "type": "service",
        "unit_label": None,
        "updated": change.now,
        "url": None,
    }


def add_product(change: Change, product: Record) -> None:
    """Put a new product into the change, with its event."""
    change.put("products", product)
    record_event(change, "product.created", product)


def _write(product: Record, given: ProductFields) -> Record:
    product |= given.given(*(name for name in _PLAIN if name in type(given).model_fields))
    if "metadata" in given.model_fields_set:
        product["metadata"] = merge_metadata(product["metadata"], given.metadata)
    return product


def _create(change: Change, given: ProductCreate, _: str) -> Record:
    if given.id and change.get("products", given.id):
        raise StripeError("Product already exists.", code="resource_already_exists", param="id")
    product = _write(new_product(change, given.name, given.id), given)
    add_product(change, product)
    return expand(change, product, given.expand)


def _retrieve(change: Change, given: Expandable, product_id: str) -> Record:
    return expand(change, find(change, "products", product_id), given.expand)


def _update(change: Change, given: ProductUpdate, product_id: str) -> Record:
    if given.default_price and find(change, "prices", given.default_price, "default_price")["product"] != product_id:
        raise StripeError("The price does not belong to this product.", param="default_price")
    before = find(change, "products", product_id)
    product = _write(find(change, "products", product_id), given)
    if product != before:
        product["updated"] = change.now
    change.put("products", product)
    record_event(change, "product.updated", product, before)
    return expand(change, product, given.expand)


def _delete(change: Change, _given: Parameters, product_id: str) -> Record:
    """Only a product without prices can be deleted; others are archived by ``active=false``."""
    product = find(change, "products", product_id)
    if any(each["product"] == product_id for each in change.newest_first("prices")):
        raise StripeError("This product cannot be deleted because it has one or more user-created prices.")
    change.remove("products", product_id)
    record_event(change, "product.deleted", product)
    return {"id": product_id, "object": "product", "deleted": True}


def _list(change: Change, given: ProductList, _: str) -> Record:
    def keep(product: Record) -> bool:
        return (
            given.active in {None, product["active"]}
            and (given.ids is None or product["id"] in given.ids)
            and given.url in {None, product["url"]}
        )

    return expand(change, page(change, "products", given, keep), given.expand)


ENDPOINTS: tuple[AnyEndpoint, ...] = (
    Endpoint("POST", "/products", ProductCreate, _create),
    Endpoint("GET", "/products", ProductList, _list),
    Endpoint("GET", "/products/{id}", Expandable, _retrieve),
    Endpoint("POST", "/products/{id}", ProductUpdate, _update),
    Endpoint("DELETE", "/products/{id}", Parameters, _delete),
)
