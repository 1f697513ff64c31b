import httpx, pytest, json
from pathlib import Path
from tests.fixtures.edges import KINDS, listening, recording_service, running_edge
from tests.fixtures.gateways import GatewayFactory
pytestmark = pytest.mark.anyio

@pytest.mark.parametrize("name", sorted(KINDS))
async def test_x(name, gateways: GatewayFactory, tmp_path: Path) -> None:
    async with gateways(decision_networks=["127.0.0.1"]) as g, listening(g.app) as port, recording_service() as service, running_edge(name, tmp_path, gateway=port, service=service.port) as edge, httpx.AsyncClient(base_url=edge.url) as client:
        async def show(m, p, **k):
            r = await client.request(m, p, **k)
            print(m, p, r.status_code, dict(r.headers), r.text[:300])
            print("   ->", service.take())
        await show("GET", "/v1/contacts?limit=2", headers=g.acme.key())
        await show("POST", "/v1/contacts", headers=g.acme.key()|{"Tenantry-Identity":"x","tenantry_identity":"y","Tenantry.Identity":"w","tenantry+identity":"v","Tenantry_IDENTITY":"z", "Connection":"Tenantry-Identity, close"}, content=b"hello")
        await show("GET", "/v1/contacts")
        await show("POST", "/v1/contacts", headers=g.acme.key("viewer"))
        await show("GET", "/v1/nope", headers=g.acme.key())
        await show("DELETE", "/v1/contacts", headers=g.acme.key())
        await show("GET", "/livez", headers={"X-Original-URI":"/v1/contacts", "X-Forwarded-Uri":"/livez","X-Forwarded-For":"9.9.9.9"})
        for t in ["/livez/../v1/contacts","/livez/%2e%2e/v1/contacts","//v1/contacts","/livez//../v1/contacts","/v1/contacts/%2e%2e/me","/livez%2f..%2fv1/contacts", "/livez;/../v1/contacts", "/livez/..;/v1/contacts", "http://evil.test/livez", "/./livez", "/livez?/../x", "/livez#x","/livez\\..\\x", "/%6civez"]:
            print(t, await edge.raw(t), [(x.method,x.target) for x in service.take()])
        print((tmp_path/"edge.log").read_text()[-3000:])
