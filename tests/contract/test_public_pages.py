"""Public routes: health, documentation, problem pages, security.txt."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urljoin

import psycopg
import pytest

from gateway.openapi.document import Describer
from gateway.openapi.editions import OPERATORS, TENANTS, Edition
from gateway.problems.documents import catalogue
from tests.fixtures.gateways import BASE_URL, Gateway, GatewayFactory

pytestmark = pytest.mark.anyio


async def test_health_needs_no_credential_and_is_never_stored(gateway: Gateway) -> None:
    for path, status in (("/livez", "alive"), ("/readyz", "ready")):
        answer = await gateway.client.get(path)
        assert (answer.status_code, answer.json()) == (200, {"status": status})
        assert answer.headers["cache-control"] == "no-store"


async def test_health_and_metrics_are_served_under_any_host(gateways: GatewayFactory) -> None:
    """OP7: and nothing else is; a probe asks by the address of a pod."""
    async with gateways(hosts=["api.example.com"]) as opened:
        for path, status in (("/livez", 200), ("/readyz", 200), ("/metrics", 200), ("/openapi.json", 400)):
            for host in ("10.42.0.17:8000", "127.0.0.1", "[::1]:8000"):
                assert (await opened.client.get(path, headers={"Host": host})).status_code == status
        served = await opened.client.get("/openapi.json", headers={"Host": "api.example.com.:8000"})
        assert served.status_code == 200


@pytest.mark.parametrize("path", ["/operator%2Fv1%2Ftenants", "/operator/v1%2ftenants", "/operator/v1/tenants%5C"])
async def test_an_encoded_separator_reaches_no_operator_route(gateway: Gateway, path: str) -> None:
    """PX6: the same 404 as for any unknown path, before the credential is looked at."""
    answer = await gateway.client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert (await gateway.client.get("/operator/v1/tenants")).status_code == 401


async def test_a_schema_that_is_behind_is_not_ready(gateway: Gateway) -> None:
    """OP4: the worker waits for the migration."""
    await _set_revision(gateway, "0001")
    answer = await gateway.client.get("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.json()["detail"] == "Not ready to serve: migrations."
    assert int(answer.headers["retry-after"]) >= 1
    assert (await gateway.client.get("/livez")).status_code == 200


async def test_a_schema_of_the_next_version_is_ready(gateway: Gateway) -> None:
    """OP4: during a rollout the old version keeps serving on the new schema."""
    await _set_revision(gateway, "9999_of_the_next_version")
    assert (await gateway.client.get("/readyz")).status_code == 200


async def _set_revision(gateway: Gateway, revision: str) -> None:
    async with await psycopg.AsyncConnection.connect(gateway.urls.owner, autocommit=True) as connection:
        await connection.execute("UPDATE tenantry.alembic_version SET version_num = %s", (revision,))


async def test_a_worker_without_change_notices_is_alive_and_not_ready(gateway: Gateway) -> None:
    """ID4: beyond the staleness bound it would have to load every credential; another worker serves better."""
    await gateway.services.listener.close()
    gateway.services.listener.confirmed_at = float("-inf")
    answer = await gateway.client.get("/readyz")
    assert answer.json()["detail"] == "Not ready to serve: change listener."
    assert (await gateway.client.get("/livez")).status_code == 200


@pytest.mark.parametrize(("path", "title"), [("/docs", "Tenantry API"), ("/operator/docs", "Tenantry operator API")])
async def test_the_documentation_is_self_contained(gateway: Gateway, path: str, title: str) -> None:
    """CO2: both pages work offline and run no inline script."""
    page = await gateway.client.get(path)
    assert page.status_code == 200
    assert f"<title>{title}</title>" in page.text
    assert '<html lang="en">' in page.text
    assert "http" not in page.text.replace(BASE_URL, "")
    assert "<script>" not in page.text
    policy = page.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    for name, media_type in (
        ("swagger-ui-bundle.js", "text/javascript"),
        ("swagger-ui.css", "text/css"),
        ("favicon.png", "image/png"),
        ("start.js", "text/javascript"),
    ):
        (address,) = re.findall(rf'"([^"]+/{re.escape(name)})"', page.text)
        asset = await gateway.client.get(urljoin(f"{BASE_URL}{path}", address))
        assert asset.status_code == 200
        assert asset.headers["content-type"].startswith(media_type)


@pytest.mark.parametrize("name", ["redoc.standalone.js", "..%2F..%2Fcore.py", "../core.py", "%2e%2e/core.py", "x"])
async def test_no_other_file_can_be_read(gateway: Gateway, name: str) -> None:
    assert (await gateway.client.get(f"/docs/assets/{name}")).status_code == 404


async def test_the_openapi_documents_are_served(gateway: Gateway) -> None:
    """Openly: each page loads the one beside it, without a credential."""
    tenants = (await gateway.client.get("/openapi.json")).json()
    operators = (await gateway.client.get("/operator/openapi.json")).json()
    assert tenants["openapi"].startswith("3.1")
    assert tenants["servers"] == operators["servers"] == [{"url": BASE_URL}]
    assert tenants["paths"]["/v1/contacts"]["post"]["x-permission"] == "contacts:create"
    assert operators["paths"]["/livez"]["get"]["security"] == []
    assert "/operator/v1/tenants" in operators["paths"]
    assert tenants["paths"].keys() & operators["paths"].keys() == set()
    script = (await gateway.client.get("/docs/assets/start.js")).text
    assert 'fetch("openapi.json")' in script


async def test_a_document_is_made_once_and_not_sent_again(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes 200 ms of CPU, which concurrent first requests must not multiply; If-None-Match saves the rest."""
    made: list[Edition] = []
    describe = Describer.describe

    def counted(describer: Describer, edition: Edition) -> dict[str, Any]:
        made.append(edition)
        return describe(describer, edition)

    monkeypatch.setattr(Describer, "describe", counted)
    answers = await asyncio.gather(*(gateway.client.get("/openapi.json") for _ in range(5)))
    assert made == [TENANTS]
    (tag,) = {answer.headers["etag"] for answer in answers}
    assert answers[0].headers["cache-control"] == "no-cache"
    again = await gateway.client.get("/openapi.json", headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    other = await gateway.client.get("/operator/openapi.json", headers={"If-None-Match": tag})
    assert other.status_code == 200
    assert made == [TENANTS, OPERATORS]


_CHROMIUM = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


async def test_a_browser_is_shown_where_to_go(gateway: Gateway) -> None:
    """CO2: a page with links that exist, without script, in light and dark."""
    page = await gateway.client.get("/", headers={"Accept": _CHROMIUM})
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["vary"] == "Accept"
    assert '<html lang="en">' in page.text
    assert "<h1>Tenantry API</h1>" in page.text
    assert "color-scheme:light dark" in page.text
    assert "<script" not in page.text
    assert "http" not in page.text, "nothing is loaded from elsewhere"
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    links = re.findall(r'href="([^"]+)"', page.text)
    assert {"docs", "operator/docs", "openapi.json", "problems", "livez"} <= set(links)
    for link in links:
        assert (await gateway.client.get(f"/{link}")).status_code == 200, link


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/json, text/html;q=0.5", None])
async def test_other_clients_get_the_same_links_as_json(gateway: Gateway, accept: str | None) -> None:
    answer = await gateway.client.get("/", headers={} if accept is None else {"Accept": accept})
    page = await gateway.client.get("/", headers={"Accept": _CHROMIUM})
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["vary"] == "Accept"
    links = answer.json()
    assert links["documentation"] == f"{BASE_URL}/docs"
    assert {link.removeprefix(f"{BASE_URL}/") for link in links.values()} == set(
        re.findall(r'href="([^"]+)"', page.text)
    )


async def test_every_problem_type_leads_to_its_page(gateway: Gateway) -> None:
    """RFC 9457 section 3.1.1: the URL of a problem's type exists and says what to do."""
    problem = (await gateway.client.get("/v1/me")).json()
    assert problem["type"].startswith(f"{BASE_URL}/problems/")
    page = await gateway.client.get(problem["type"])
    assert page.status_code == 200
    assert problem["title"] in page.text
    for code in catalogue():
        answer = await gateway.client.get(f"/problems/{code}")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert f"<code>{code}</code>" in answer.text
        assert "<script" not in answer.text
        assert "style-src 'sha256-" in answer.headers["content-security-policy"]
    index = await gateway.client.get("/problems")
    assert all(f"problems/{code}" in index.text for code in catalogue())


async def test_an_unknown_code_has_no_page_and_is_not_echoed(gateway: Gateway) -> None:
    """CO3."""
    answer = await gateway.client.get("/problems/<script>alert(1)</script>")
    assert answer.status_code == 404
    assert "alert" not in answer.text


async def test_security_txt_has_contact_and_expiry(gateways: GatewayFactory) -> None:
    """RFC 9116 section 2.5: Contact and Expires are required, and Expires is less than a year away."""
    async with gateways(security_contact="https://example.com/report") as opened:
        answer = await opened.client.get("/.well-known/security.txt")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    fields = dict(line.split(": ", 1) for line in answer.text.splitlines())
    assert fields["Contact"] == "https://example.com/report"
    assert fields["Canonical"] == f"{BASE_URL}/.well-known/security.txt"
    expires = datetime.fromisoformat(fields["Expires"])
    assert timedelta(days=30) < expires - datetime.now(UTC) < timedelta(days=366)
    async with gateways() as opened:
        answer = await opened.client.get("/.well-known/security.txt")
    assert answer.text.startswith("Contact: mailto:security@gateway.test\n")


async def test_head_and_options_follow_rfc_9110(gateway: Gateway) -> None:
    """RFC 9110 sections 9.3.2 and 15.5.6."""
    head = await gateway.client.head("/livez")
    assert (head.status_code, head.content) == (200, b"")
    refused = await gateway.client.options("/v1/contacts")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, POST")
