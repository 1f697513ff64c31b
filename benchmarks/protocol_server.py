"""A bare application under uvicorn's own protocol or ours: ``python -m benchmarks.protocol_server uvicorn 8000``."""

import asyncio
import base64
import sys
from pathlib import Path
from typing import cast

import uvicorn
from starlette.types import Receive, Scope, Send

from gateway.development.processes import LOOPBACK
from gateway.edge.protocol import EdgeProtocols
from gateway.edge.sockets import listen, raise_descriptor_limit
from gateway.settings import Settings

_BODY = b'{"status": "ok"}'
_TWO = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_BODY))]
# What the gateway's answers carry; two more differ in each.
_EIGHT = [
    *_TWO,
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"strict-transport-security", b"max-age=63072000"),
    (b"ratelimit-policy", b'"burst";q=1000;w=1, "sustained";q=30000;w=60'),
]


class Bare:
    """Answers at once: ``/ten`` with ten headers, anything else with two, a POST when its body is read."""

    def __init__(self) -> None:
        self._number = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "POST":
            while (await receive())["more_body"]:
                pass
        headers = self._ten() if scope["path"] == "/ten" else _TWO
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": _BODY})

    def _ten(self) -> list[tuple[bytes, bytes]]:
        self._number += 1
        left = self._number % 1000
        unique = (b"x-request-id", b"req_%026d" % self._number), (b"ratelimit", b'"burst";r=%d;t=1' % left)
        return [*_EIGHT, *unique]


def main() -> None:
    """Serve until told to stop."""
    name, port = sys.argv[1:]
    ours = cast("type[asyncio.Protocol]", EdgeProtocols(_settings()))
    config = uvicorn.Config(
        Bare(),
        loop="uvloop",
        http="httptools" if name == "uvicorn" else ours,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
    )
    raise_descriptor_limit()
    uvicorn.Server(config).run([listen(LOOPBACK, int(port))])


def _settings() -> Settings:
    secret = base64.b64encode(bytes(32)).decode()
    return Settings.model_validate(
        {
            "database_url": "postgresql://nobody@127.0.0.1:1/nothing",  # never asked
            "key_peppers": f"1:{secret}",
            "secret_key": secret,
            "signing_keys": "{}",
            "usage_folder": Path("/nonexistent"),
        }
    )


if __name__ == "__main__":
    main()
