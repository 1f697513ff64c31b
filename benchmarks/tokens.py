"""The time and the CPU of tokens for programs: by an API key, and by a workload's token of an outside issuer.

One worker, idle otherwise, gets one request after another. The issuer is a process on loopback, asked once for its
keys. Every workload's token is another one, signed beforehand (RS256, as GitHub Actions and Kubernetes do).
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import httpx
from joserfc import jwt
from joserfc.jwk import RSAKey

from benchmarks.deployment import open_deployment
from benchmarks.options import Options, log_progress
from benchmarks.population import open_control
from benchmarks.report import Cell, Column, Report, Table
from benchmarks.servers import Server
from tenants.identifiers import WORKLOAD_RULE, new_id, show

_AUDIENCE, _SUBJECT = "https://api.bench.example", "repo:bench/api:ref:refs/heads/main"
_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
_JWT = "urn:ietf:params:oauth:token-type:jwt"
_RULE = (
    "INSERT INTO workload_rules (id, tenant_id, name, issuer, audience, claims, role, token_seconds)"
    " VALUES (%(id)s, %(tenant)s, 'benchmark', %(issuer)s, %(audience)s, %(claims)s, 'member', 300)"
)
_WARM_UP = 20
_LOOPBACK_ISSUERS = {"TENANTRY_MODE": "development", "TENANTRY_OUTBOUND_NETWORKS": "127.0.0.0/8"}
_MILLISECONDS = 1000


class _Rounds:
    """Requests of one kind, one after another, each from another address."""

    def __init__(self, client: httpx.Client, server: Server) -> None:
        self._client = client
        self._server = server
        self._sources = count()

    def row(self, name: str, requests: list[dict[str, Any]]) -> list[Cell]:
        """A row of the table; the first requests are not in it."""
        for each in requests[:_WARM_UP]:
            self._send(each)
        cpu, taken = self._server.cpu_seconds(), [self._send(each) for each in requests[_WARM_UP:]]
        spent = (self._server.cpu_seconds() - cpu) / len(taken) * _MILLISECONDS
        taken.sort()
        return [name, len(taken), taken[len(taken) // 2], taken[int(len(taken) * 0.99)], spent]

    def _send(self, request: dict[str, Any]) -> float:
        source = next(self._sources)
        headers = {"X-Forwarded-For": f"198.{18 + (source >> 16)}.{source >> 8 & 255}.{source & 255}"}
        began = time.perf_counter()
        answer = self._client.request(**request | {"headers": headers | request.get("headers", {})})
        taken = (time.perf_counter() - began) * _MILLISECONDS
        if answer.status_code != httpx.codes.OK:
            raise SystemExit(f"{request['url']} returned {answer.status_code}: {answer.text}")
        return taken


def measure(options: Options) -> Report:
    """Measure both grants, and the first and the second use of a token."""
    number = options.scale(2_000, 20) + _WARM_UP
    with open_deployment() as deployment, _issuer() as (issuer, key):
        server = deployment.servers.gateway(1, **_LOOPBACK_ISSUERS)
        with httpx.Client(base_url=server.url, timeout=30) as client:
            with open_control(deployment) as control:
                tenant, rule = UUID(deployment.tenant.schema.removeprefix("t_")), new_id()
                secrets = control.add_keys([tenant], number)
                claims = json.dumps({"sub": _SUBJECT})
                control.execute(_RULE, id=rule, tenant=tenant, issuer=issuer, audience=_AUDIENCE, claims=claims)
            log_progress(f"{number} requests of each kind")
            rounds = _Rounds(client, server)
            same = [_of_key(deployment.tenant.api_key)] * number
            tokens = [_token(client, _of_key(deployment.tenant.api_key), source) for source in range(number)]
            uses = [
                {"method": "GET", "url": "/v1/me", "headers": {"Authorization": f"Bearer {each}"}} for each in tokens
            ]
            rows = [
                rounds.row("client credentials, a key that is cached", same),
                rounds.row(
                    "client credentials, a key that the worker has not seen", [_of_key(each) for each in secrets]
                ),
                rounds.row(
                    "token exchange",
                    [_exchange(show(WORKLOAD_RULE, rule), _outside(issuer, key)) for _ in range(number)],
                ),
                rounds.row("GET /v1/me, the first use of a token of a key", uses),
                rounds.row("GET /v1/me, the second use", uses),
            ]
    columns = (
        Column("request"),
        Column("requests", ","),
        *(Column(f"{name} ms", ".2f") for name in ("p50", "p99", "CPU")),
    )
    return Report([Table("Tokens for programs, one request after another", columns, rows)], [])


def _of_key(secret: str) -> dict[str, Any]:
    form = {"grant_type": "client_credentials", "client_secret": secret}
    return {"method": "POST", "url": "/v1/auth/token", "data": form}


def _exchange(rule: str, token: str) -> dict[str, Any]:
    form = {"grant_type": _EXCHANGE, "client_id": rule, "subject_token": token, "subject_token_type": _JWT}
    return {"method": "POST", "url": "/v1/auth/token", "data": form}


def _token(client: httpx.Client, request: dict[str, Any], source: int) -> str:
    headers = {"X-Forwarded-For": f"203.0.{source >> 8 & 255}.{source & 255}"}
    return str(client.request(**request, headers=headers).json()["access_token"])


def _outside(issuer: str, key: RSAKey) -> str:
    now = int(time.time())
    times = {"iat": now, "nbf": now, "exp": now + 3_600}
    claims = {"iss": issuer, "aud": _AUDIENCE, "sub": _SUBJECT, "jti": uuid4().hex, **times}
    return jwt.encode({"alg": "RS256", "kid": "bench"}, claims, key, algorithms=["RS256"])


@contextmanager
def _issuer() -> Iterator[tuple[str, RSAKey]]:
    """An issuer that publishes metadata and one key, and that key."""
    key = RSAKey.generate_key(2048, {"kid": "bench", "use": "sig", "alg": "RS256"})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer = f"http://{self.headers['host']}"
            metadata = {"issuer": issuer, "jwks_uri": f"{issuer}/jwks"}
            found = {"keys": [key.as_dict(private=False)]} if self.path == "/jwks" else metadata
            body = json.dumps(found).encode()
            self.send_response(httpx.codes.OK)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", key
        server.shutdown()
