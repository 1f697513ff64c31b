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
from benchmarks.proxy_configurations import FASTIFY, KEY, envoy_configuration, traefik_routes
from benchmarks.servers import LOAD_CORE, Server, Servers
from gateway.development.processes import LOOPBACK
from gateway.development.servers import ProgramMissing

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
                proxy_set_header X-Original-Host $http_host;
                proxy_set_header X-Forwarded-For $remote_addr;
                proxy_set_header X-Forwarded-Proto $scheme;
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
            file = self._file("envoy.json", json.dumps(envoy_configuration(port, self.upstream)))
            return [*_command(envoy()), "-c", str(file), "--concurrency", "1", "--log-level", "error"]

        return self.servers.program(start, SMALL, _FIELDS)

    def _traefik(self) -> Server:
        def start(port: int) -> Sequence[str]:
            routes = self._file("traefik-routes.yml", json.dumps(traefik_routes(self.upstream)))
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
            script.write_text(FASTIFY % {"key": KEY, "upstream": self.upstream, "port": port}, encoding="utf-8")
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


def _node_modules(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "package.json").write_text(json.dumps({"private": True, "dependencies": _NPM}), encoding="ascii")
    command = ["npm", "install", "--no-audit", "--no-fund", "--silent"]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=_NPM_SECONDS)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        raise ProgramMissing(f"npm did not install it: {type(error).__name__}") from error
    return folder
