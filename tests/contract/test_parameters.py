"""What no route takes, every route refuses."""

import pytest

from tests.fixtures.gateways import Gateway

pytestmark = pytest.mark.anyio

_ASKED_BY_MACHINES = {"/livez", "/readyz"}  # probes and balancers add what they like


async def test_a_parameter_that_a_route_does_not_take_is_refused(gateway: Gateway) -> None:
    """AZ7: CONTRACT, "Unknown fields, operators and parameters are refused with 422", on every route that there is."""
    client = gateway.client
    paths = (await client.get("/openapi.json")).json()["paths"]
    for path, verbs in paths.items():
        key = gateway.operator if path.startswith("/operator") else gateway.acme.key("admin")
        for verb in verbs if path not in _ASKED_BY_MACHINES else ():
            answer = await client.request(verb, path.replace("{", "").replace("}", "") + "?nonsense=1", headers=key)
            assert answer.status_code == 422, (verb, path, answer.text)
            found = [(each["pointer"], each["code"]) for each in answer.json()["errors"]]
            assert found == [("/query/nonsense", "unknown_parameter")], (verb, path)
