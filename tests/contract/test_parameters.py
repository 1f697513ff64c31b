"""Unknown, invalid and repeated parameters are refused on every route."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.fixtures.gateways import Gateway
from tests.fixtures.people import sign_in

pytestmark = pytest.mark.anyio

_PLAIN_400 = ("/scim/", "/v1/auth/token")  # RFC 7644 section 3.12, RFC 6749 section 5.2
# Load balancers add parameters of their own, and so may a provider (RFC 6749 section 4.1.2).
_OPEN = {"/livez", "/readyz", "/metrics", "/v1/auth/sso/callback"}


async def _documented(gateway: Gateway) -> dict[str, Any]:
    """The paths of both documents."""
    answers = [await gateway.client.get(path) for path in ("/openapi.json", "/operator/openapi.json")]
    return {path: each for answer in answers for path, each in answer.json()["paths"].items()}


async def _credentials(gateway: Gateway) -> Callable[[str], dict[str, str]]:
    """What each path is asked with: an operator's key, a person's token for what concerns a person, an admin's key."""
    person = (await sign_in(gateway, "admin")).headers

    def credential(path: str) -> dict[str, str]:
        if path.startswith(("/operator", "/access/")):
            return gateway.operator
        return person if path.startswith("/v1/auth/") else gateway.acme.key("admin")

    return credential


async def test_an_unknown_parameter_is_refused(gateway: Gateway) -> None:
    """AZ7: 422 on every route; SCIM and OAuth have 400 for it, or SCIM 404 for an object that is not there."""
    client, credential = gateway.client, await _credentials(gateway)
    for path, verbs in (await _documented(gateway)).items():
        for verb in verbs if path not in _OPEN else ():
            url = path.replace("{", "").replace("}", "") + "?nonsense=1"
            answer = await client.request(verb, url, headers=credential(path))
            if path.startswith(_PLAIN_400):
                assert answer.status_code in ({400, 404} if "{" in path else {400}), (verb, path)
                continue
            assert answer.status_code == 422, (verb, path, answer.text)
            found = [(each["pointer"], each["code"]) for each in answer.json()["errors"]]
            assert found == [("/query/nonsense", "unknown_parameter")], (verb, path)


async def _lists(gateway: Gateway) -> list[tuple[str, dict[str, str]]]:
    """The path of every list, with a credential for it."""
    credential = await _credentials(gateway)
    return [
        (path, credential(path))
        for path, verbs in (await _documented(gateway)).items()
        if "limit" in {each["name"] for each in verbs.get("get", {}).get("parameters", ())}
    ]


async def test_a_limit_is_a_whole_number(gateway: Gateway) -> None:
    """AZ7: read in one way on every list of data and of management, where 10.0 is 10 as it is in a body."""
    for path, key in await _lists(gateway):
        for limit in ("10.5", "1_0", "%2010", "%2B10", "1e1", "-1", "0", "101", "1000000000", "", "x"):
            answer = await gateway.client.get(f"{path}?limit={limit}", headers=key)
            assert answer.status_code == 422, (path, limit, answer.text)
            assert [each["pointer"] for each in answer.json()["errors"]] == ["/query/limit"], (path, limit)
        for limit in ("10", "10.0"):
            assert (await gateway.client.get(f"{path}?limit={limit}", headers=key)).status_code != 422, (path, limit)


async def test_a_repeated_parameter_is_refused(gateway: Gateway) -> None:
    """AZ7: on every list; choosing one of its values would be a guess."""
    for path, key in await _lists(gateway):
        answer = await gateway.client.get(f"{path}?limit=1&limit=2", headers=key)
        assert answer.status_code == 422, path
        assert answer.json()["errors"] == [
            {"pointer": "/query/limit", "code": "repeated", "message": "Given more than once."}
        ]


async def _list_parameters(gateway: Gateway) -> list[tuple[str, dict[str, Any]]]:
    """Every query parameter of the documents whose value is a list, with its path."""
    documents = [
        (await gateway.client.get("/openapi.json")).json(),
        (await gateway.client.get("/operator/openapi.json", headers=gateway.operator)).json(),
    ]
    return [
        (path, parameter)
        for document in documents
        for path, verbs in document.get("paths", {}).items()
        for parameter in verbs.get("get", {}).get("parameters", ())
        if parameter["in"] == "query" and parameter["schema"].get("type") == "array"
    ]


async def test_a_list_of_values_may_be_repeated_wherever_there_is_one(gateway: Gateway) -> None:
    """AZ7: generated clients repeat the name, whatever `explode` says; the document says what they do."""
    found = await _list_parameters(gateway)
    assert found
    for path, parameter in found:
        assert (parameter["style"], parameter["explode"]) == ("form", True), (path, parameter["name"])
        query = f"{parameter['name']}=%20&{parameter['name']}=%20"
        answer = await gateway.client.get(f"{path}?{query}", headers=gateway.acme.key("admin"))
        codes = {each["code"] for each in answer.json().get("errors", ())}
        assert "repeated" not in codes, (path, parameter["name"], answer.text)
