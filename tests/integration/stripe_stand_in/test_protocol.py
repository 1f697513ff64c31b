"""HTTP as with curl: authentication, errors, idempotency, versions, form encoding."""

from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest
import stripe
from stripe import StripeClient

from gateway.development.stripe.server import StripeStandIn
from tests.fixtures.stripe import STRIPE_KEY


@pytest.fixture
def http(stripe_server: StripeStandIn) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stripe_server.url, auth=(STRIPE_KEY, ""), trust_env=False) as client:
        yield client


def _error(answer: httpx.Response) -> tuple[int, str | None, str | None]:
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    return answer.status_code, error.get("code"), error.get("param")


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer sk_test_of_somebody_else"}, {"Authorization": "Basic !"}]
)
def test_without_the_correct_key_every_route_returns_401(stripe_server: StripeStandIn, headers: dict[str, str]) -> None:
    answer = httpx.get(f"{stripe_server.url}/v1/customers", headers=headers, trust_env=False)
    assert _error(answer) == (401, None, None)
    assert answer.headers["www-authenticate"] == 'Basic realm="Stripe"'
    assert "somebody" not in answer.text


def test_the_key_is_accepted_as_a_bearer_token(stripe_server: StripeStandIn) -> None:
    headers = {"Authorization": f"Bearer {STRIPE_KEY}"}
    answer = httpx.get(f"{stripe_server.url}/v1/customers", headers=headers, trust_env=False)
    assert answer.status_code == 200
    assert answer.headers["request-id"].startswith("req_")


@pytest.mark.parametrize(
    ("form", "code", "param"),
    [
        ("nope=1", "parameter_unknown", "nope"),
        ("address[planet]=Mars", "parameter_unknown", "address[planet]"),
        ("address=Mars", None, "address"),
        ("name[first]=Ada", "parameter_invalid_string", "name"),
        ("preferred_locales=de", "parameter_invalid_array", "preferred_locales"),
        ("tax_exempt=perhaps", None, "tax_exempt"),
    ],
)
def test_a_parameter_that_stripe_rejects_is_rejected_with_its_name(
    http: httpx.Client, form: str, code: str | None, param: str
) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert _error(http.post("/v1/customers", content=form, headers=headers)) == (400, code, param)


def test_missing_and_mistyped_parameters_are_named_in_brackets(http: httpx.Client) -> None:
    sent = {"customer": "cus_x", "items[0][quantity]": "many", "items[0][price]": "price_x"}
    assert _error(http.post("/v1/subscriptions", data=sent)) == (400, "parameter_invalid_integer", "items[0][quantity]")
    assert _error(http.post("/v1/subscriptions", data={"items[0][price]": "x"})) == (
        400,
        "parameter_missing",
        "customer",
    )
    assert _error(http.get("/v1/customers", params={"limit": "101"}))[2] == "limit"


def test_an_unknown_id_is_404_in_the_path_and_400_in_a_parameter(http: httpx.Client) -> None:
    assert _error(http.get("/v1/customers/cus_none")) == (404, "resource_missing", "id")
    assert _error(http.get("/v1/subscriptions?customer=cus_none")) == (400, "resource_missing", "customer")
    sent = {"customer": "cus_none", "items[0][price]": "price_x"}
    assert _error(http.post("/v1/subscriptions", data=sent)) == (400, "resource_missing", "customer")


@pytest.mark.parametrize("path", ["/v1/invoices", "/v1/customers/", "/", "/v1/customers/cus_a/nothing"])
def test_a_route_that_is_not_implemented_is_an_unrecognized_url(http: httpx.Client, path: str) -> None:
    answer = http.get(path)
    assert _error(answer)[0] == 404
    assert "Unrecognized request URL" in answer.json()["error"]["message"]


def test_json_bodies_are_rejected_as_by_stripe(http: httpx.Client) -> None:
    assert _error(http.post("/v1/customers", json={"name": "Ada"}))[0] == 400


def test_the_version_is_returned_and_older_ones_are_rejected(http: httpx.Client) -> None:
    same = http.get("/v1/customers", headers={"Stripe-Version": "2025-09-30.clover"})
    assert same.headers["stripe-version"] == "2025-09-30.clover"
    for version in ("2024-06-20", "yesterday"):
        assert _error(http.get("/v1/customers", headers={"Stripe-Version": version}))[0] == 400


def test_the_array_form_of_curl_creates_one_item_a_price(http: httpx.Client) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    price = "currency=usd&unit_amount=5&recurring[interval]=month&product_data[name]=P"
    prices = [http.post("/v1/prices", content=price, headers=headers).json()["id"] for _ in range(2)]
    customer = http.post("/v1/customers").json()["id"]
    form = f"customer={customer}" + "".join(f"&items[][price]={each}&items[][quantity]=2" for each in prices)
    bought = http.post("/v1/subscriptions", content=form + "&expand[]=customer", headers=headers).json()
    assert [(each["price"]["id"], each["quantity"]) for each in bought["items"]["data"]] == [(p, 2) for p in prices]
    assert bought["customer"]["id"] == customer


def test_the_same_idempotency_key_replays_the_first_response(http: httpx.Client) -> None:
    headers, email = {"Idempotency-Key": uuid4().hex}, f"{uuid4().hex}@example.com"
    first = http.post("/v1/customers", data={"email": email}, headers=headers)
    again = http.post("/v1/customers", data={"email": email}, headers=headers)
    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["original-request"] == first.headers["request-id"]
    assert len(http.get("/v1/customers", params={"email": email}).json()["data"]) == 1


def test_an_idempotency_key_is_valid_for_one_request(stripe_client: StripeClient) -> None:
    options: stripe.RequestOptions = {"idempotency_key": uuid4().hex}
    stripe_client.v1.customers.create({"name": "Ada"}, options)
    with pytest.raises(stripe.IdempotencyError, match="same parameters"):
        stripe_client.v1.customers.create({"name": "Grace"}, options)


def test_a_rejected_request_may_be_corrected_under_its_key(http: httpx.Client) -> None:
    headers = {"Idempotency-Key": uuid4().hex}
    assert http.post("/v1/customers", data={"nope": "1"}, headers=headers).status_code == 400
    assert http.post("/v1/customers", data={"name": "Ada"}, headers=headers).status_code == 200
