"""The demo's proxied routes: the example's file with the real address, and the service that they lead to."""

import base64
import json
from pathlib import Path

import httpx
import pytest

from gateway.development.project_routes import ProjectRoutes, find_routes
from gateway.development.servers import SetUpFailed
from gateway.development.upstream.server import DemoUpstream
from gateway.features import build_features
from tests.fixtures.databases import DatabaseUrls
from tests.fixtures.gateways import settings_for

pytestmark = pytest.mark.anyio

_EXAMPLE = Path(__file__).parents[3] / "examples" / "crm"


async def test_the_demo_applies_the_file_of_the_project_with_the_real_address(database_urls: DatabaseUrls) -> None:
    """A second start changes nothing."""
    routes = find_routes([_EXAMPLE.parent, _EXAMPLE])
    assert routes is not None
    assert routes.demo_route is not None
    assert routes.demo_route.path == "/echo"
    features = build_features(settings_for(database_urls))
    for _ in range(2):
        await routes.apply(features, "http://127.0.0.1:4711")
    version = await features.routes.read(features.database.control_reads)
    await features.close()
    assert version.number == 2
    assert [each.url for each in version.configuration.upstreams[0].targets] == ["http://127.0.0.1:4711"]


async def test_an_invalid_file_stops_the_start_and_names_the_line(database_urls: DatabaseUrls, tmp_path: Path) -> None:
    file = tmp_path / "routes.toml"
    features = build_features(settings_for(database_urls))
    for text, fault in (
        ("\n[[routes]]\nname = 'Echo'\n", "line 3: /routes/0/name"),
        (
            '\n[[routes]]\nname = "echo"\npath = "/"\npermission = "a:b"\nupstream = "none"',
            "line 6: /routes/0/upstream",
        ),
    ):
        file.write_text(text)
        with pytest.raises(SetUpFailed, match=fault):
            await ProjectRoutes(file).apply(features, "http://127.0.0.1:4711")
    await features.close()


def test_the_demo_service_answers_with_what_it_was_asked(tmp_path: Path) -> None:
    """A real server: requests with their identity, and events before the answer ends."""
    server = DemoUpstream(tmp_path / "upstream")
    server.start()
    claims = base64.urlsafe_b64encode(json.dumps({"sub": "key"}).encode()).decode().rstrip("=")
    try:
        with httpx.Client(base_url=server.url, trust_env=False) as client:
            sent = {"Tenantry-Identity": f"e30.{claims}.c2ln"}
            echoed = client.put("/echo/a%20b?x=1", content="text", headers=sent).json()
            assert (echoed["method"], echoed["path"], echoed["query"]) == ("PUT", "/echo/a%20b", "x=1")
            assert (echoed["body"], echoed["identity"]) == ("text", {"sub": "key"})
            assert client.get("/echo/slow?seconds=0", headers={"Tenantry-Identity": "x"}).json()["identity"] is None
            with client.stream("GET", "/echo/events") as events:
                assert next(events.iter_lines()) == "id: 0"
    finally:
        server.stop()
    assert not server.running
