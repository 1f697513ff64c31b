"""Other gateways and proxies before one upstream, each doing as much of the gate's work as it can.

Everything is pinned: what is measured to the first core, the upstream and the load to the last one.
"""

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.edges import Program, caddy, envoy, haproxy, nginx, traefik
from benchmarks.options import log_progress
from benchmarks.servers import LOAD_CORE, Server, Servers
from gateway.development.processes import LOOPBACK
from gateway.development.servers import ProgramMissing

KEY = "tn_live_benchmark0000000000000000000000000000000000000"
SMALL, LARGE = "/echo/1k", "/echo/100k"
_SIZES = {SMALL: 1_024, LARGE: 102_400}
_NPM = {"fastify": "5", "@fastify/http-proxy": "11", "@fastify/rate-limit": "11"}
_NPM_SECONDS = 180.0
_FIELDS = {"X-API-Key": KEY}
_FORWARD = 'proxy_pass http://upstream; proxy_http_version 1.1; proxy_set_header Connection "";'


@dataclass(frozen=True, slots=True)
class Contestant:
    """One proxy, and what it does of the work beside proxying."""

    name: str
    work: str
    server: Server


@dataclass(frozen=True, slots=True)
class Proxies:
    """Starts proxies, which end with the servers."""

    servers: Servers
    upstream: str  # host:port

    @property
    def _folder(self) -> Path:
        return self.servers.folder

    def every(self) -> Iterator[Contestant]:
        """All that can be had here; nginx, which the others are compared with, comes first and must."""
        yield Contestant("nginx", "proxy_pass alone", self.nginx())
        others: tuple[tuple[str, str, Callable[[], Server]], ...] = (
            ("HAProxy", "key map, three rates of its own, role", self._haproxy),
            ("Envoy", "API key, one local limit, role (RBAC)", self._envoy),
            ("Traefik", "key by rule, one local limit", self._traefik),
            ("Caddy", "key by matcher", self._caddy),
            ("Fastify", "key map, one local limit, role", self._fastify),
        )
        for name, work, start in others:
            try:
                yield Contestant(name, work, start())
            except ProgramMissing as error:
                log_progress(f"{name} is left out: {error}")

    def nginx(self) -> Server:
        """``proxy_pass`` over kept connections."""
        return self.servers.program(self._nginx("nginx", f"location / {{ {_FORWARD} }}"), SMALL)

    def nginx_asking(self, gateway: Server, fields: Mapping[str, str]) -> Server:
        """The same, after the gateway's ``/authorize`` has admitted the request (``examples/edges/nginx.conf``)."""
        host = gateway.url.removeprefix("http://")
        locations = f"""
            location / {{
                auth_request /_authorize;
                auth_request_set $identity $upstream_http_tenantry_identity;
                proxy_set_header Tenantry-Identity $identity;
                proxy_set_header X-API-Key "";
                {_FORWARD}
            }}
            location = /_authorize {{
                internal;
                proxy_pass http://gateway/authorize;
                proxy_http_version 1.1;
                proxy_pass_request_body off;
                proxy_set_header Connection "";
                proxy_set_header Content-Length "";
                proxy_set_header X-Original-Method $request_method;
                proxy_set_header X-Original-URI $request_uri;
            }}
        """
        return self.servers.program(self._nginx("asking", locations, {"gateway": host}), SMALL, fields)

    def _nginx(
        self, name: str, locations: str, others: Mapping[str, str] | None = None
    ) -> Callable[[int], Sequence[str]]:
        pools = {"upstream": self.upstream, **(others or {})}
        return lambda port: nginx_command(self._folder / name, port, pools, locations)

    def _haproxy(self) -> Server:
        keys = self._folder / "haproxy.map"
        keys.write_text(f"{KEY} member\n", encoding="ascii")
        tables = "\n".join(
            f"backend rate{seconds}\n"
            f"  stick-table type string len 64 size 100k expire 1h store http_req_rate({seconds}s)"
            for seconds in (1, 60, 3_600)
        )
        rules = "\n".join(
            f"  http-request track-sc{number} req.hdr(x-api-key) table rate{seconds}\n"
            f"  http-request deny deny_status 429 if {{ sc_http_req_rate({number},rate{seconds}) gt 100000000 }}"
            for number, seconds in enumerate((1, 60, 3_600))
        )

        def start(port: int) -> Sequence[str]:
            text = f"""
global
  nbthread 1
defaults
  mode http
  timeout connect 2s
  timeout client 600s
  timeout server 60s
  http-reuse always
{tables}
frontend gate
  bind {LOOPBACK}:{port}
  http-request set-var(txn.role) req.hdr(x-api-key),map({keys})
  http-request deny deny_status 401 unless {{ var(txn.role) -m found }}
  http-request deny deny_status 403 unless {{ var(txn.role) -m str member admin }}
{rules}
  http-request del-header x-api-key
  http-request set-header identity %[var(txn.role)]
  default_backend upstream
backend upstream
  server one {self.upstream}
"""
            return [*_command(haproxy()), "-db", "-f", str(self._file("haproxy.cfg", text))]

        return self.servers.program(start, SMALL, _FIELDS)

    def _envoy(self) -> Server:
        def start(port: int) -> Sequence[str]:
            file = self._file("envoy.json", json.dumps(_envoy_configuration(port, self.upstream)))
            return [*_command(envoy()), "-c", str(file), "--concurrency", "1", "--log-level", "error"]

        return self.servers.program(start, SMALL, _FIELDS)

    def _traefik(self) -> Server:
        def start(port: int) -> Sequence[str]:
            routes = self._file("traefik-routes.yml", json.dumps(_traefik_routes(self.upstream)))
            static = {
                "entryPoints": {"web": {"address": f"{LOOPBACK}:{port}"}},
                "providers": {"file": {"filename": str(routes)}},
                "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
                "log": {"level": "ERROR"},
            }
            file = self._file("traefik.yml", json.dumps(static))
            return ["env", "GOMAXPROCS=1", *_command(traefik()), f"--configFile={file}"]

        return self.servers.program(start, SMALL, _FIELDS)

    def _caddy(self) -> Server:
        def start(port: int) -> Sequence[str]:
            text = f"""{{
  admin off
  auto_https off
  persist_config off
  log {{
    level ERROR
  }}
}}
http://{LOOPBACK}:{port} {{
  @key header X-API-Key {KEY}
  handle @key {{
    reverse_proxy {self.upstream} {{
      header_up -X-API-Key
      header_up Identity member
    }}
  }}
  respond 401
}}
"""
            file = self._file("Caddyfile", text)
            return ["env", "GOMAXPROCS=1", *_command(caddy()), "run", "--config", str(file)]

        return self.servers.program(start, SMALL, _FIELDS)

    def _fastify(self) -> Server:
        folder = _node_modules(self._folder / "fastify")

        def start(port: int) -> Sequence[str]:
            script = folder / f"server-{port}.js"
            script.write_text(_FASTIFY % {"key": KEY, "upstream": self.upstream, "port": port}, encoding="utf-8")
            return ["node", str(script)]

        return self.servers.program(start, SMALL, _FIELDS)

    def _file(self, name: str, text: str) -> Path:
        file = self._folder / name
        file.write_text(text, encoding="utf-8")
        return file


def upstream_server(servers: Servers) -> Server:
    """An nginx on the core of the load, whose answers have 1 and 100 KB."""
    folder = servers.folder / "upstream-files"
    for path, size in _SIZES.items():
        file = folder / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x" * size)

    def start(port: int) -> Sequence[str]:
        locations = f"location / {{ root {folder}; default_type text/plain; etag off; }}"
        return nginx_command(servers.folder / "upstream", port, {}, locations)

    return servers.program(start, SMALL, core=LOAD_CORE)


def _command(program: Program) -> Sequence[str]:
    return ["env", *(f"{name}={value}" for name, value in program.variables.items()), str(program.path)]


def nginx_command(prefix: Path, port: int, pools: Mapping[str, str], locations: str) -> Sequence[str]:
    """The command of an nginx in one process, with its files below ``prefix``."""
    (prefix / "logs").mkdir(parents=True, exist_ok=True)
    temporary = "\n".join(
        f"  {kind}_temp_path {prefix}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    upstreams = "\n".join(
        f"  upstream {name} {{ server {address}; keepalive 128; keepalive_requests 1000000000; }}"
        for name, address in pools.items()
    )
    text = f"""
daemon off;
master_process off;
error_log stderr error;
pid {prefix}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
{temporary}
{upstreams}
  server {{ listen {LOOPBACK}:{port}; {locations} }}
}}
"""
    file = prefix / "nginx.conf"
    file.write_text(text, encoding="ascii")
    return [*_command(nginx()), "-p", str(prefix), "-c", str(file), "-e", "stderr"]


def _envoy_configuration(port: int, upstream: str) -> dict[str, object]:
    host, _, upstream_port = upstream.partition(":")
    types = "type.googleapis.com/envoy.extensions."

    def http_filter(name: str, kind: str, **members: object) -> dict[str, object]:
        return {"name": f"envoy.filters.http.{name}", "typed_config": {"@type": types + kind, **members}}

    member = {"header": {"name": "x-client", "string_match": {"exact": "member"}}}
    filters = [
        http_filter(
            "api_key_auth",
            "filters.http.api_key_auth.v3.ApiKeyAuth",
            credentials=[{"key": KEY, "client": "member"}],
            key_sources=[{"header": "x-api-key"}],
            forwarding={"header": "x-client", "hide_credentials": True},
        ),
        http_filter(
            "local_ratelimit",
            "filters.http.local_ratelimit.v3.LocalRateLimit",
            stat_prefix="rate",
            token_bucket={"max_tokens": 1_000_000, "tokens_per_fill": 1_000_000, "fill_interval": "1s"},
            filter_enabled={"default_value": {"numerator": 100}},
            filter_enforced={"default_value": {"numerator": 100}},
        ),
        http_filter(
            "rbac",
            "filters.http.rbac.v3.RBAC",
            rules={"policies": {"member": {"permissions": [{"any": True}], "principals": [member]}}},
        ),
        http_filter("router", "filters.http.router.v3.Router"),
    ]
    route = {"match": {"prefix": "/"}, "route": {"cluster": "upstream"}}
    manager = {
        "@type": types + "filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "gate",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": filters,
    }
    endpoint = {"endpoint": {"address": _envoy_address(host, int(upstream_port))}}
    return {
        "static_resources": {
            "listeners": [
                {
                    "address": _envoy_address(LOOPBACK, port),
                    "filter_chains": [
                        {
                            "filters": [
                                {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
                            ]
                        }
                    ],
                }
            ],
            "clusters": [
                {
                    "name": "upstream",
                    "connect_timeout": "2s",
                    "load_assignment": {"cluster_name": "upstream", "endpoints": [{"lb_endpoints": [endpoint]}]},
                }
            ],
        }
    }


def _envoy_address(host: str, port: int) -> dict[str, object]:
    return {"socket_address": {"address": host, "port_value": port}}


def _traefik_routes(upstream: str) -> dict[str, object]:
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


def _node_modules(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "package.json").write_text(json.dumps({"private": True, "dependencies": _NPM}), encoding="ascii")
    command = ["npm", "install", "--no-audit", "--no-fund", "--silent"]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=_NPM_SECONDS)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        raise ProgramMissing(f"npm did not install it: {type(error).__name__}") from error
    return folder


_FASTIFY = """
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
