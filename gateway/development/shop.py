"""What the demo sells, as it stands in the Stripe stand-in: prices, customers, and who hears of changes."""

from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import httpx

from gateway.development.saved import SavedStripe

_MONTHLY_CENTS = {"pro": 4_900, "scale": 49_900}
_EVENTS = ("customer.subscription.created", "customer.subscription.updated", "customer.subscription.deleted")
_DEADLINE = 10.0  # seconds


class Shop:
    """Plain HTTP, as a person with curl would do it. Everything is made once, and found again by the next start."""

    def __init__(self, url: str, api_key: str) -> None:
        # trust_env off: a proxy of the machine must not stand between us and loopback.
        self._client = httpx.Client(base_url=f"{url}/v1", auth=(api_key, ""), timeout=_DEADLINE, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def prices(self) -> dict[str, str]:
        """The Stripe price of each plan that can be bought, by plan code."""
        return {code: self._price(code, cents) for code, cents in _MONTHLY_CENTS.items()}

    def customer(self, known: str, name: str, email: str, tenant: str) -> str:
        """The customer of that id if it is there, else a new one."""
        if known and self._is_there(f"/customers/{known}"):
            return known
        made = self._post("/customers", {"name": name, "email": email, "metadata[tenant]": tenant})
        return str(made["id"])

    def subscribe(self, customer: str, price: str) -> None:
        """Let the customer have that price, unless they have a subscription already."""
        found = self._get("/subscriptions", {"customer": customer})
        if not found["data"]:
            self._post("/subscriptions", {"customer": customer, "items[0][price]": price})

    def endpoint(self, known: SavedStripe, url: str) -> SavedStripe:
        """The webhook endpoint, at that URL. Its secret is told when it is made, and never again."""
        if known.endpoint and self._is_there(f"/webhook_endpoints/{known.endpoint}"):
            self._post(f"/webhook_endpoints/{known.endpoint}", {"url": url})
            return known
        wanted = {"url": url} | {f"enabled_events[{index}]": name for index, name in enumerate(_EVENTS)}
        made = self._post("/webhook_endpoints", wanted)
        return known.model_copy(update={"endpoint": made["id"], "webhook_secret": made["secret"]})

    def _price(self, code: str, cents: int) -> str:
        lookup_key = f"tenantry_{code}"
        found = self._get("/prices", {"lookup_keys[0]": lookup_key})["data"]
        if found:
            return str(found[0]["id"])
        wanted = {
            "currency": "usd",
            "unit_amount": cents,
            "recurring[interval]": "month",
            "product_data[name]": code.capitalize(),
            "lookup_key": lookup_key,
        }
        return str(self._post("/prices", wanted)["id"])

    def _is_there(self, path: str) -> bool:
        answer = self._client.get(path)
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return False
        return not answer.raise_for_status().json().get("deleted", False)

    def _get(self, path: str, parameters: dict[str, str]) -> dict[str, Any]:
        answer: dict[str, Any] = self._client.get(path, params=parameters).raise_for_status().json()
        return answer

    def _post(self, path: str, form: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self._client.post(path, data=form).raise_for_status().json()
        return answer
