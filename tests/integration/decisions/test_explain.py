"""``POST /v1/decisions/explain`` about oneself and others: findings, refusals, and that nothing changes."""

import json
import pytest
from tests.fixtures.gateways import Gateway

pytestmark = pytest.mark.anyio
_PATH = "/v1/decisions/explain"


async def test_smoke(gateway: Gateway) -> None:
    """AZ10."""
    for body in ({"method": "GET", "path": "/v1/contacts"}, {"method": "DELETE", "path": "/v1/contacts/x"}, {"permission": "usage:read"},
        {"method": "GET", "path": "/nix"}, {"method": "BREW", "path": "/nix"}, {"method": "GET", "path": "/a%2fb"}, {"method": "PUT", "path": "/v1/contacts"}):
        answer = await gateway.client.post(_PATH, json=body, headers=gateway.acme.key("viewer"))
        print(answer.status_code, json.dumps(answer.json(), indent=1))
    assert 0
