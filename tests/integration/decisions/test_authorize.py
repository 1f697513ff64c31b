"""``/authorize``: the request that a proxy describes is decided as if it had been sent."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from billing.usage.counts import Count
from tenants.routes.schemas import Configuration
from tests.asgi import HOST, Response, call, http_scope
from tests.fixtures.edges import identity_of
from tests.fixtures.gateways import Gateway, GatewayFactory
from tests.fixtures.live_routes import apply, configuration_of
from tests.fixtures.people import execute
from tests.fixtures.usage import stored_counts

pytestmark = pytest.mark.anyio

_EDGE, _CLIENT = "10.9.0.1", "203.0.113.7"
_NETWORKS = ["10.9.0.0/24"]
_ORIGINAL = {
    "X-Original-Method": "GET",
    "X-Original-URI": "/v1/contacts?limit=1",
    "X-Original-Host": "api.example.com",
    "X-Forwarded-For": _CLIENT,
}
_FORWARDED = {
    "X-Forwarded-Method": "GET",
    "X-Forwarded-Uri": "/v1/contacts?limit=1",
    "X-Forwarded-Host": "api.example.com",
    "X-Forwarded-For": _CLIENT,
}
_FORMS: dict[str, tuple[str, dict[str, str]]] = {
    "nginx": ("/authorize", _ORIGINAL),
    "traefik and caddy": ("/authorize", _FORWARDED),
    "envoy": ("/authorize/v1/contacts", {"X-Forwarded-For": _CLIENT}),
}


async def _ask(
    gateway: Gateway,
    fields: Mapping[str, str],
    *,
    path: str = "/authorize",
    method: str = "GET",
    peer: str = _EDGE,
    more: tuple[tuple[bytes, bytes], ...] = (),
) -> Response:
    sent = [(name.lower().encode(), value.encode("latin-1")) for name, value in fields.items()]
    return await call(gateway.app, http_scope(method, path, headers=[HOST, *sent, *more], client=(peer, 4711)))


async def _direct(gateway: Gateway, fields: Mapping[str, str], method: str, path: str) -> Response:
    sent = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
    return await call(gateway.app, http_scope(method, path, headers=[HOST, *sent], client=(_CLIENT, 4711)))


@pytest.mark.parametrize("form", sorted(_FORMS))
async def test_every_form_is_decided_charged_and_counted_as_the_request(form: str, gateways: GatewayFactory) -> None:
    """PX6: 200 with identity, limits and request id; usage under the described route and client."""
    path, fields = _FORMS[form]
    async with gateways(decision_networks=_NETWORKS) as gateway:
        answer = await _ask(gateway, fields | gateway.acme.key(), path=path)
        assert (answer.status, answer.body) == (200, b"")
        assert answer.header("cache-control") == "no-store"
        assert (answer.header("x-request-id") or "").startswith("req_")
        assert answer.header("ratelimit") == '"burst";r=999;t=1, "sustained";r=29999;t=60'
        claims = await identity_of(gateway, answer.header("tenantry-identity") or "")
        assert (claims["aud"], claims["roles"], claims["plan"]) == ("decisions", ["member"], "scale")
        gateway.services.usage.journal.finish_current()
        await gateway.services.usage.flusher.round()
        await gateway.services.usage.key_uses.flush()
        (((_, route, status), count),) = stored_counts(gateway.urls.superuser).items()
        assert (route, status, count) == ("/v1/contacts", 2, Count(1, 1))
        assert execute(gateway, "SELECT last_used_from FROM tenantry.api_key_uses") == [(_CLIENT,)]


async def test_refusals_are_the_gates_own(gateways: GatewayFactory) -> None:
    """PX6: status, body and fields are those of the request itself; only the request id differs."""
    async with gateways(decision_networks=_NETWORKS) as gateway:
        viewer = gateway.acme.key("viewer")
        cases: list[tuple[dict[str, str], str, str, int]] = [
            ({}, "GET", "/v1/contacts", 401),
            ({"Authorization": "Bearer tn_live_wrong"}, "GET", "/v1/contacts", 401),
            (viewer, "POST", "/v1/contacts", 403),
            (viewer, "GET", "/operator/v1/tenants", 403),
            (viewer, "GET", "/unknown", 404),
            (viewer, "GET", "/v1/%2e%2e/v1/contacts", 404),
            (viewer, "GET", "/livez/../v1/contacts", 404),
            (viewer, "PUT", "/v1/contacts", 405),
        ]
        for credential, method, path, status in cases:
            described = _ORIGINAL | {"X-Original-Method": method, "X-Original-URI": path} | credential
            asked = await _ask(gateway, described)
            sent = await _direct(gateway, credential, method, path)
            assert (asked.status, sent.status) == (status, status), path
            assert _problem(asked.body) == _problem(sent.body)
            assert asked.header("tenantry-problem") == asked.body.decode()  # for nginx, which drops the body
            for name in ("www-authenticate", "allow", "content-type", "ratelimit-policy"):
                assert asked.header(name) == sent.header(name)
            assert asked.header("tenantry-identity") is None
        forwarded = await _ask(gateway, _FORWARDED | {"X-Forwarded-Uri": "/unknown"} | viewer)
        assert (forwarded.status, forwarded.header("tenantry-problem")) == (404, None)


def _problem(body: bytes) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(body)
    return found | {"request_id": ""}


async def test_only_the_configured_networks_may_ask(gateways: GatewayFactory) -> None:
    """TH3: the socket's peer counts, and it is off by default. To anybody else the path is an unknown one."""
    async with gateways(decision_networks=_NETWORKS, trusted_proxies=["192.0.2.1"]) as gateway:
        asked = _ORIGINAL | gateway.acme.key()
        assert (await _ask(gateway, asked, peer="10.9.0.255")).status == 200
        for peer in ("10.9.1.0", "192.0.2.1", "127.0.0.1", "::1"):  # a trusted proxy that names a network's address
            answer = await _ask(gateway, asked | {"X-Forwarded-For": _EDGE}, peer=peer)
            assert (answer.status, answer.json()["code"]) == (404, "not_found"), peer
    async with gateways() as closed:
        assert (await _ask(closed, asked, peer="127.0.0.1")).status == 404


async def test_a_description_that_clients_could_complete_is_refused(gateways: GatewayFactory) -> None:
    """PX6: every field of one form, once; else a client decides what is decided."""
    async with gateways(decision_networks=_NETWORKS) as gateway:
        key = gateway.acme.key()
        bad: list[tuple[str, dict[str, str]]] = [
            *(("/authorize", {name: value for name, value in _ORIGINAL.items() if name != left}) for left in _ORIGINAL),
            *(
                ("/authorize", {name: value for name, value in _FORWARDED.items() if name != left})
                for left in _FORWARDED
            ),
            ("/authorize", {}),
            ("/authorize", _ORIGINAL | _FORWARDED),
            ("/authorize", _ORIGINAL | {"X-Forwarded-Uri": "/livez"}),
            ("/authorize/livez", _ORIGINAL),
            ("/authorize/livez", {"X-Forwarded-For": _CLIENT, "X-Forwarded-Method": "GET"}),
            ("/authorize/livez", {}),
            ("/authorize", _ORIGINAL | {"X-Original-Host": "a b"}),
            ("/authorize", _ORIGINAL | {"X-Forwarded-For": "unknown"}),
            ("/authorize", _ORIGINAL | {"X-Original-URI": "/v1/contacts HTTP/1.1"}),
            ("/authorize", _ORIGINAL | {"X-Original-URI": "/v1/\xe4"}),
            ("/authorize", _ORIGINAL | {"X-Original-URI": "/v1/%00"}),
            ("/authorize", _ORIGINAL | {"X-Original-URI": "http://evil.example/livez"}),
        ]
        for path, fields in bad:
            answer = await _ask(gateway, fields | key, path=path)
            assert (answer.status, answer.json()["code"]) == (400, "malformed_request"), fields
        twice = await _ask(gateway, _ORIGINAL | key, more=((b"x-original-uri", b"/livez"),))
        assert twice.status == 400
        for uri, status in (("/" + 8_191 * "x", 404), ("/" + 8_192 * "x", 414)):
            assert (await _ask(gateway, _ORIGINAL | key | {"X-Original-URI": uri})).status == status
        assert (await _ask(gateway, _ORIGINAL | key | {"X-Original-Method": "BREW"})).status == 501


async def test_the_client_is_the_one_that_the_proxy_names(gateways: GatewayFactory) -> None:
    """TH3, TH4: for the networks of keys and for failed credentials, further addresses are the client's own claim."""
    async with gateways(decision_networks=_NETWORKS, trusted_proxies=["198.51.100.1"]) as gateway:
        made = await gateway.client.post(
            "/v1/api-keys",
            headers=gateway.acme.key("owner"),
            json={"name": "bound", "role": "member", "allowed_cidrs": ["203.0.113.0/24"]},
        )
        key = {"Authorization": f"Bearer {made.json()['secret']}"}
        for forwarded, status in (
            (_CLIENT, 200),
            ("192.0.2.9", 403),
            (f"{_CLIENT}, 192.0.2.9", 403),
            (f"192.0.2.9, {_CLIENT}", 200),
            (f"{_CLIENT}, 198.51.100.1", 200),
        ):
            answer = await _ask(gateway, _ORIGINAL | key | {"X-Forwarded-For": forwarded})
            assert answer.status == status, forwarded


async def test_pages_methods_and_bodies_of_the_question_do_not_matter(gateways: GatewayFactory) -> None:
    """PX6: HEAD is asked by GET, a preflight is no licence, and the permit of concurrency is back at once."""
    async with gateways(decision_networks=_NETWORKS, cors_origins=["https://app.example.com"]) as gateway:
        key, origin = gateway.acme.key(), {"Origin": "https://app.example.com"}
        for method in ("GET", "POST", "DELETE", "OPTIONS"):
            assert (await _ask(gateway, _ORIGINAL | key | {"X-Original-Method": "HEAD"}, method=method)).status == 200
        preflight = origin | {"Access-Control-Request-Method": "GET", "X-Original-Method": "OPTIONS"}
        answer = await _ask(gateway, _ORIGINAL | preflight)
        assert (answer.status, answer.header("access-control-allow-origin")) == (405, None)
        account = gateway.services.limiter._leased.find(gateway.acme.ref.schema)
        assert account is not None
        assert account.permits is None or account.permits.used == 0


async def test_routes_that_are_data_are_decided_for_their_upstream(gateways: GatewayFactory) -> None:
    """The audience is the upstream of the route; a route without one is only decided."""
    async with gateways(decision_networks=_NETWORKS, decision_audience="edge") as gateway:
        configuration = configuration_of(
            "http://127.0.0.1:9",
            {"name": "echo", "hosts": ["api.example.com"]},
            {"name": "orders", "path": "/orders", "upstream": None},
            {"name": "paid", "path": "/paid", "upstream": None, "feature": "exports"},
        )
        await apply(gateway, Configuration.model_validate(configuration.model_dump()))
        key = gateway.acme.key()
        for uri, host, status, audience in (
            ("/echo/x", "api.example.com", 200, "echo"),
            ("/echo/x", "other.example.com", 404, None),
            ("/orders/7", "other.example.com", 200, "edge"),
            ("/orders/../echo", "api.example.com", 404, None),
            ("/paid", "api.example.com", 403, None),
        ):
            described = _ORIGINAL | key | {"X-Original-URI": uri, "X-Original-Host": host}
            answer = await _ask(gateway, described)
            assert answer.status == status, uri
            if audience is not None:
                claims = await identity_of(gateway, answer.header("tenantry-identity") or "")
                assert claims["aud"] == audience
        assert (await _direct(gateway, key, "GET", "/orders/7")).status == 404
