"""``GET /v1/me``."""

import pytest

from tests.fixtures.gateways import Gateway

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("header", ["X-API-Key", "Authorization"])
async def test_a_key_in_either_header_identifies_the_caller(gateway: Gateway, header: str) -> None:
    """The whole path of a request: server, identity, throttle, authorization, endpoint."""
    key = gateway.acme.keys["viewer"]
    answer = await gateway.client.get("/v1/me", headers={header: key if header == "X-API-Key" else f"Bearer {key}"})
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-request-id"].startswith("req_")
    me = answer.json()
    assert me["tenant"]["slug"] == "acme"
    assert me["tenant"]["id"].startswith("tnt_")
    assert me["principal"]["kind"] == "api_key"
    assert me["principal"]["roles"] == ["viewer"]
    assert me["permissions"] == ["contacts:read", "deals:read"]
    assert me["plan"]["code"] == "scale"
    assert me["plan"]["concurrency"] is None
    assert me["plan"]["limits"][0] == {"name": "burst", "quota": 1000, "window_seconds": 1}


async def test_a_missing_credential_is_a_problem_document(gateway: Gateway) -> None:
    """AZ1: 401, in the form of RFC 9457."""
    answer = await gateway.client.get("/v1/me")
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "credential_missing"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
