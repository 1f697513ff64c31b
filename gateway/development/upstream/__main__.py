"""``python -m gateway.development.upstream --port 9000``."""

import socket
from typing import Annotated

import typer
import uvicorn

from gateway.development.processes import LOOPBACK
from gateway.development.upstream.app import upstream

_STOP_WITHIN = 1  # seconds for requests in flight, such as streams of events


def main(port: Annotated[int, typer.Option(help="Port on loopback; 0 takes a free one.")] = 9000) -> None:
    """Serve the demo service on loopback until SIGTERM."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        config = uvicorn.Config(
            upstream, lifespan="off", log_level="warning", access_log=False, timeout_graceful_shutdown=_STOP_WITHIN
        )
        uvicorn.Server(config).run([listener])


if __name__ == "__main__":
    typer.run(main)
