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


async def test_a_parameter_that_is_given_twice_is_refused(gateway: Gateway) -> None:
    """AZ7: which of its values is meant would be a guess, on every list that there is."""
    client = gateway.client
    for path, verbs in (await client.get("/openapi.json")).json()["paths"].items():
        if "limit" not in {each["name"] for each in verbs.get("get", {}).get("parameters", ())}:
            continue
        key = gateway.operator if path.startswith("/operator") else gateway.acme.key("admin")
        answer = await client.get(f"{path}?limit=1&limit=2", headers=key)
        assert answer.status_code == 422, path
        assert answer.json()["errors"] == [
            {"pointer": "/query/limit", "code": "repeated", "message": "Given more than once."}
        ]
