"""The services of ``examples/upstreams`` behind a served gateway: each verifies who asks with the published keys."""

import asyncio
import os
import socket
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.proxy.identity import IdentityTokens
from tenants.identifiers import new_id
from tenants.routes.schemas import Configuration
from tests.fixtures.gateways import BASE_URL, GatewayFactory
from tests.fixtures.live_routes import Served, apply, served
from tests.fixtures.principals import FixedPlans, principal_of_key

pytestmark = pytest.mark.anyio

_TIMEOUT = 20.0  # seconds
_SERVICES = ("python", "node")


def _command(service: str, port: int) -> list[str]:
    if service == "node":
        return ["node", str(Path("examples/upstreams/node_service.mjs"))]
    return [sys.executable, "-m", "uvicorn", "examples.upstreams.fastapi_service:app", "--port", str(port)]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@asynccontextmanager
async def _running(service: str, port: int, gateway_port: int) -> AsyncIterator[None]:
    env = os.environ | {
        "TENANTRY_JWKS_URL": f"http://127.0.0.1:{gateway_port}/.well-known/jwks.json",
        "TENANTRY_ISSUER": BASE_URL,
        "UPSTREAM_NAME": service,
        "PORT": str(port),
    }
    process = await asyncio.create_subprocess_exec(*_command(service, port), env=env, stdout=DEVNULL, stderr=DEVNULL)
    try:
        async with asyncio.timeout(_TIMEOUT):
            while not await _is_open(port):
                assert process.returncode is None, f"the {service} service has ended"
                await asyncio.sleep(0.02)
        yield
    finally:
        process.terminate()
        await process.wait()


async def _is_open(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def _configuration(ports: Mapping[str, int]) -> Configuration:
    upstreams = [{"name": each, "targets": [{"url": f"http://127.0.0.1:{port}"}]} for each, port in ports.items()]
    routes = [
        {"name": each, "upstream": each, "path": f"/{each}", "strip_prefix": True, "access": "principal"}
        for each in ports
    ]
    return Configuration.model_validate({"upstreams": upstreams, "routes": routes})


def _forged(site: Served) -> dict[str, str]:
    """Tokens that the services must not believe, by what is wrong with them."""
    tokens, principal = site.gateway.services.features.tokens, principal_of_key()
    identity = IdentityTokens(tokens, FixedPlans())
    genuine = {each: identity.signer(each).value(principal, "").decode() for each in (*_SERVICES, "other")}
    old = IdentityTokens(tokens, FixedPlans(), clock=lambda: 1_700_000_000.0).signer("python").value(principal, "")
    access = tokens.issue(principal.id, principal.tenant.id, new_id())  # type: ignore[arg-type]  # an id is an id here
    head, claims, signature = genuine["python"].split(".")
    return {
        "another audience": genuine["other"],
        "expired": old.decode(),
        "an access token": access,
        "changed": f"{head}.{claims[:-2]}AA.{signature}",
        "no token": "x",
    }


async def test_both_services_believe_the_gateway_and_nothing_else(gateways: GatewayFactory) -> None:
    """A request through the gateway tells them who asks; one around it is refused, whatever it carries."""
    ports = {each: _free_port() for each in _SERVICES}
    async with AsyncExitStack() as stack:
        site = await stack.enter_async_context(served(await stack.enter_async_context(gateways())))
        for service, port in ports.items():
            await stack.enter_async_context(_running(service, port, site.port))
        await apply(site.gateway, _configuration(ports))
        for service, port in ports.items():
            answer = await site.get(f"/{service}/whoami", headers={"Tenantry-Identity": "forged"})
            shown: dict[str, Any] = answer.json()
            assert (answer.status_code, shown["tenant_slug"], shown["kind"]) == (200, "acme", "api_key")
            assert (shown["roles"], shown["plan"]) == (["member"], site.gateway.acme.ref.plan)
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as around:
                for wrong, token in _forged(site).items():
                    refused = await around.get("/whoami", headers={"Tenantry-Identity": token})
                    assert refused.status_code == 403, f"{service} believes a token that is wrong: {wrong}"
                assert (await around.get("/whoami")).status_code == 403
