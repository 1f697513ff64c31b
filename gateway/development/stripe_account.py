"""The demo's objects at the Stripe stand-in: prices, customers, subscriptions and the webhook endpoint."""

from collections.abc import Sequence
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import httpx

from gateway.development.demo_state import StripeState

_STEP_CENTS = 4_900  # a month for the cheapest plan, and that much more for each next one
_EVENTS = ("customer.subscription.created", "customer.subscription.updated", "customer.subscription.deleted")
_TIMEOUT = 10.0  # seconds


class StripeAccount:
    """Plain HTTP, as with curl. Each object is created once and found again by later starts."""

    def __init__(self, url: str, api_key: str) -> None:
        # trust_env off: a proxy configured on the machine must not be used for loopback.
        self._client = httpx.Client(base_url=f"{url}/v1", auth=(api_key, ""), timeout=_TIMEOUT, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def ensure_prices(self, plans: Sequence[str]) -> dict[str, str]:
        """The Stripe price of each of these plans, by code. The first plan is the cheapest."""
        return {code: self._ensure_price(code, _STEP_CENTS * step) for step, code in enumerate(plans, 1)}

    def ensure_customer(self, known: str, name: str, email: str, tenant: str) -> str:
        """The customer with the id ``known`` if it exists, else a new one."""
        if known and self._exists(f"/customers/{known}"):
            return known
        created = self._post("/customers", {"name": name, "email": email, "metadata[tenant]": tenant})
        return str(created["id"])

    def ensure_subscription(self, customer: str, price: str) -> None:
        """Subscribe the customer to that price, unless they have a subscription."""
        found = self._get("/subscriptions", {"customer": customer})
        if not found["data"]:
            self._post("/subscriptions", {"customer": customer, "items[0][price]": price})

    def ensure_endpoint(self, known: StripeState, url: str) -> StripeState:
        """The webhook endpoint at that URL. Stripe shows its secret only when it is created."""
        if known.endpoint and self._exists(f"/webhook_endpoints/{known.endpoint}"):
            self._post(f"/webhook_endpoints/{known.endpoint}", {"url": url})
            return known
        form = {"url": url} | {f"enabled_events[{index}]": name for index, name in enumerate(_EVENTS)}
        created = self._post("/webhook_endpoints", form)
        return known.model_copy(update={"endpoint": created["id"], "webhook_secret": created["secret"]})

    def _ensure_price(self, code: str, cents: int) -> str:
        lookup_key = f"tenantry_{code}"
        found = self._get("/prices", {"lookup_keys[0]": lookup_key})["data"]
        if found:
            return str(found[0]["id"])
        form = {
            "currency": "usd",
            "unit_amount": cents,
            "recurring[interval]": "month",
            "product_data[name]": code.capitalize(),
            "lookup_key": lookup_key,
        }
        return str(self._post("/prices", form)["id"])

    def _exists(self, path: str) -> bool:
        response = self._client.get(path)
        if response.status_code == HTTPStatus.NOT_FOUND:
            return False
        return not response.raise_for_status().json().get("deleted", False)

    def _get(self, path: str, parameters: dict[str, str]) -> dict[str, Any]:
        body: dict[str, Any] = self._client.get(path, params=parameters).raise_for_status().json()
        return body

    def _post(self, path: str, form: dict[str, Any]) -> dict[str, Any]:
        body: dict[str, Any] = self._client.post(path, data=form).raise_for_status().json()
        return body
