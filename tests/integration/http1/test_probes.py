"""Health probes as orchestrators and load balancers send them, at a server with ``TENANTRY_HOSTS`` (OP7)."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
import yaml
from fastapi import FastAPI

from gateway.authorization.guards import public
from gateway.routing.api_router import APIRouter
from gateway.routing.terms import terms
from tests.architecture.sources import ROOT
from tests.fixtures.http1 import Http1Server, run_server
from tests.gated_app import gated_app
from tests.raw_http import connected


def _register(app: FastAPI) -> None:
    router = APIRouter()

    @router.get("/readyz")
    @terms(public, query=None, any_host=True)
    async def readyz() -> dict[str, str]:
        return {"status": "ready"}

    @router.get("/hello")
    @terms(public)
    async def hello() -> dict[str, str]:
        return {"hello": "world"}

    app.include_router(router)


@pytest.fixture(scope="module")
def server() -> Iterator[Http1Server]:
    with run_server(gated_app(_register, hosts=["api.example.com"])) as server:
        yield server


_PROBES = {
    "kubelet": b"GET %b HTTP/1.1\r\nHost: 10.42.0.17:8000\r\nUser-Agent: kube-probe/1.34\r\nAccept: */*\r\n"
    b"Connection: close\r\n\r\n",
    "HAProxy": b"GET %b HTTP/1.0\r\n\r\n",
    "Prometheus": b"GET %b HTTP/1.1\r\nHost: 192.0.2.7:8000\r\nUser-Agent: Prometheus/3.7.0\r\n"
    b"Accept: text/plain;version=1.0.0\r\nAccept-Encoding: gzip\r\nX-Prometheus-Scrape-Timeout-Seconds: 10\r\n\r\n",
    "loopback": b"GET %b HTTP/1.1\r\nHost: [::1]:8000\r\n\r\n",
}


@pytest.mark.parametrize("probe", _PROBES.values(), ids=_PROBES.keys())
def test_a_probe_is_answered_and_no_other_route_is(server: Http1Server, probe: bytes) -> None:
    """OP7, PX5: the address of a pod is no host name of the API."""
    for path, status in ((b"/readyz", 200), (b"/hello", 400)):
        with connected(server.port) as client:
            client.send(probe % path)
            response = client.response()
            assert response.status == status
            if status == 400:
                assert response.problem["code"] == "malformed_request"
                assert str(response.problem["detail"]).startswith("Host names no host")


def test_the_name_with_a_final_dot_is_the_same_name(server: Http1Server) -> None:
    """RFC 1034 section 3.1: the absolute form of a name."""
    for host in (b"api.example.com", b"api.example.com.", b"API.example.com.:443"):
        with connected(server.port) as client:
            client.send(b"GET /hello HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
            assert client.response().status == 200


def test_the_health_check_of_the_compose_file_succeeds(server: Http1Server) -> None:
    """OP7: its own command, at this server's port."""
    document = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    kind, program, *arguments = document["services"]["gateway"]["healthcheck"]["test"]
    assert (kind, program) == ("CMD", "python")
    command = [sys.executable, *(each.replace(":8000/", f":{server.port}/") for each in arguments)]
    assert any(f":{server.port}/readyz" in each for each in command)
    assert subprocess.run(command, check=False, timeout=30).returncode == 0  # noqa: S603 - the file is ours
