"""What Envoy, Traefik and Fastify are told to do: forward everything, after as much of the gate's work as they can."""

from gateway.development.processes import LOOPBACK

_ENVOY = "type.googleapis.com/envoy.extensions."
KEY = "tn_live_benchmark0000000000000000000000000000000000000"

FASTIFY = """
const keys = new Map([["%(key)s", "member"]]);
const roles = new Set(["member", "admin"]);
const server = require("fastify")({ keepAliveTimeout: 600000 });
server.register(require("@fastify/rate-limit"), {
  max: 1000000000, timeWindow: 1000, keyGenerator: (request) => request.headers["x-api-key"] || "",
});
server.register(require("@fastify/http-proxy"), {
  upstream: "http://%(upstream)s",
  http: undefined,
  undici: { connections: 128, pipelining: 1 },
  preHandler: async (request, reply) => {
    const role = keys.get(request.headers["x-api-key"]);
    if (role === undefined) return reply.code(401).send();
    if (!roles.has(role)) return reply.code(403).send();
    request.role = role;
  },
  replyOptions: {
    rewriteRequestHeaders: (request, fields) => {
      const { ["x-api-key"]: _, ...others } = fields;
      return { ...others, identity: "member" };
    },
  },
});
server.listen({ port: %(port)d, host: "127.0.0.1" });
"""


def envoy_configuration(port: int, upstream: str) -> dict[str, object]:
    """For ``--config-path``; JSON is YAML."""
    host, _, upstream_port = upstream.partition(":")
    route = {"match": {"prefix": "/"}, "route": {"cluster": "upstream"}}
    manager = {
        "@type": _ENVOY + "filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "gate",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": _envoy_filters(),
    }
    listener = {
        "address": _envoy_address(LOOPBACK, port),
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
    endpoint = {"endpoint": {"address": _envoy_address(host, int(upstream_port))}}
    cluster = {
        "name": "upstream",
        "connect_timeout": "2s",
        "load_assignment": {"cluster_name": "upstream", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _envoy_filters() -> list[dict[str, object]]:
    """Key, limit, role, forwarding."""
    member = {"header": {"name": "x-client", "string_match": {"exact": "member"}}}
    return [
        _envoy_filter(
            "api_key_auth",
            "ApiKeyAuth",
            credentials=[{"key": KEY, "client": "member"}],
            key_sources=[{"header": "x-api-key"}],
            forwarding={"header": "x-client", "hide_credentials": True},
        ),
        _envoy_filter(
            "local_ratelimit",
            "LocalRateLimit",
            stat_prefix="rate",
            token_bucket={"max_tokens": 1_000_000, "tokens_per_fill": 1_000_000, "fill_interval": "1s"},
            filter_enabled={"default_value": {"numerator": 100}},
            filter_enforced={"default_value": {"numerator": 100}},
        ),
        _envoy_filter(
            "rbac",
            "RBAC",
            rules={"policies": {"member": {"permissions": [{"any": True}], "principals": [member]}}},
        ),
        _envoy_filter("router", "Router"),
    ]


def _envoy_filter(name: str, kind: str, **members: object) -> dict[str, object]:
    configuration = {"@type": f"{_ENVOY}filters.http.{name}.v3.{kind}", **members}
    return {"name": f"envoy.filters.http.{name}", "typed_config": configuration}


def _envoy_address(host: str, port: int) -> dict[str, object]:
    return {"socket_address": {"address": host, "port_value": port}}


def traefik_routes(upstream: str) -> dict[str, object]:
    """For the file provider."""
    rate = {"average": 1_000_000, "burst": 1_000_000, "sourceCriterion": {"requestHeaderName": "X-Api-Key"}}
    fields = {"customRequestHeaders": {"X-Api-Key": "", "Identity": "member"}}
    return {
        "http": {
            "routers": {
                "gate": {
                    "rule": f"PathPrefix(`/`) && Header(`X-Api-Key`, `{KEY}`)",
                    "service": "upstream",
                    "middlewares": ["rate", "fields"],
                }
            },
            "middlewares": {"rate": {"rateLimit": rate}, "fields": {"headers": fields}},
            "services": {"upstream": {"loadBalancer": {"servers": [{"url": f"http://{upstream}"}]}}},
        }
    }
