"""Bodies that are made to be expensive, sent to every route: refused, without holding the event loop."""

import re
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import NamedTuple

import pytest

from gateway.data.models import longest_body
from gateway.request.route import Audience
from gateway.routing.api_router import ApiRoute
from gateway.routing.routes import api_routes
from tenants.identifiers import API_KEY, TENANT, new_id, show
from tests.fixtures.databases import copy_database
from tests.fixtures.gateways import Gateway, Template, running_gateway
from tests.fixtures.loops import measured_loop
from tests.fixtures.own_endpoints import OWN_ENDPOINTS
from tests.fixtures.unconnected import unconnected_api

pytestmark = pytest.mark.anyio

_MEGABYTE = 1_048_576
_EMOJI = "\\ud83d\\ude00"  # one character in twelve bytes
_PARAMETER = re.compile(r"\{(\w+)\}")
_LONGEST_ANSWER = 8_192  # bytes
_LIMIT = 0.3  # seconds of CPU time; 8 ms were measured for the worst body
_BODIES: dict[str, bytes] = {
    "100,000 members": b"{" + b",".join(b'"m%d":1' % number for number in range(80_000)) + b"}",
    "empty lists": b"[" + b"[]," * (_MEGABYTE // 3 - 2) + b"[]]",
    "numbers": b"[" + b"1," * (_MEGABYTE // 2 - 2) + b"1]",
    "deep lists": b"[" * (_MEGABYTE // 2) + b"]" * (_MEGABYTE // 2),
    "deep lists below the bound on values": b"[" * 900 + b"]" * 900,
    "one long text": b'{"name":"' + b"a" * (_MEGABYTE - 20) + b'"}',
    "one long number": b'{"name":' + b"1" * (_MEGABYTE - 20) + b"}",
    "escaped quotes": b'{"name":"' + b'\\"' * (_MEGABYTE // 2 - 20) + b'"}',
    "wrong members": b"{" + b",".join(b'"m%d":1' % number for number in range(998)) + b"}",
    "wrong members in a list": b"[" + b",".join([b'{"a":1}'] * 499) + b"]",
    "byte order marks": b"\xef\xbb\xbf" * 1_000,
}


class Target(NamedTuple):
    """One method of one path, and the credential that its guard admits."""

    method: str
    path: str
    headers: dict[str, str]


@pytest.fixture(scope="module")
async def gateway(gateway_template: Template) -> AsyncIterator[Gateway]:
    """With a database of the module's own, and limits that are counted in the process."""
    with ExitStack() as stack:
        urls = copy_database(gateway_template.urls, stack)
        async with running_gateway(gateway_template, urls, resources=OWN_ENDPOINTS) as opened:
            yield opened


@pytest.fixture(scope="module")
def targets(gateway: Gateway) -> list[Target]:
    """Every method of every path of the deployment, of Tenantry's and of the SaaS team's own."""
    routes = list(api_routes(unconnected_api(gateway.services).routes))
    return [
        _target(gateway, method, str(context.path), route)
        for context, route in routes
        for method in sorted(route.methods or ())
    ]


def _target(gateway: Gateway, method: str, template: str, route: ApiRoute) -> Target:
    headers = {
        Audience.EVERYBODY: {},
        Audience.TENANTS: gateway.acme.key("owner"),
        Audience.OPERATORS: gateway.operator,
    }[route.terms.guard.audience]
    return Target(method, _PARAMETER.sub(lambda found: _value(found[1], template), template), headers)


def _value(parameter: str, template: str) -> str:
    """A well-formed value of a parameter of the path: the body is not read for any other."""
    singular = "deal" if "/deals/" in template else "contact"
    prefixes = {"id": singular, "key_id": API_KEY, "tenant_id": TENANT}
    return show(prefixes[parameter], new_id()) if parameter in prefixes else "unknown"


@pytest.mark.parametrize("body", _BODIES.values(), ids=_BODIES.keys())
async def test_a_harmful_body_is_refused_on_every_route(gateway: Gateway, targets: list[Target], body: bytes) -> None:
    """LD1, DA2: on no route and from no sender does it hold the event loop."""
    wrong = {}
    for target in targets:
        headers = {"content-type": "application/json", **target.headers}
        async with measured_loop() as hold:
            answer = await gateway.client.request(target.method, target.path, content=body, headers=headers)
        if not (400 <= answer.status_code < 500 and hold.longest < _LIMIT and len(answer.content) < _LONGEST_ANSWER):
            wrong[target.method, target.path] = answer.status_code, hold.longest, len(answer.content)
    assert wrong == {}


async def test_a_body_that_uses_the_whole_bound_of_its_route_is_read(gateway: Gateway) -> None:
    """LD1, DA2: the longest contact, escaped as badly as JSON allows, with all that is allowed around it."""
    longest = {"name": 200, "company": 200, "notes": 10_000}
    texts = ",".join(f'"{name}":"{_EMOJI * characters}"' for name, characters in longest.items())
    limit = longest_body(gateway.services.registry["contacts"])
    body = ("{" + texts + "}").ljust(limit)
    headers = {"content-type": "application/json", **gateway.acme.key()}
    created = await gateway.client.post("/v1/contacts", content=body, headers=headers)
    assert (created.status_code, len(created.json()["notes"])) == (201, 10_000)
    refused = await gateway.client.post("/v1/contacts", content=body + " ", headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (413, "payload_too_large")
    assert f"{limit:,} bytes" in refused.json()["detail"]
