"""``python -m gateway.development.stripe --port 12111 --state ./stripe.journal``."""

import socket
from pathlib import Path
from typing import Annotated

import typer
import uvicorn

from gateway.development.folders import FolderLock
from gateway.development.processes import LOOPBACK
from gateway.development.stripe.app import StandInSettings, create_stand_in
from gateway.development.stripe.delivery import RetrySchedule


def main(
    state: Annotated[Path, typer.Option(help="Journal file; its folder is used by one stand-in at a time.")],
    port: Annotated[int, typer.Option(help="Port on loopback; 0 chooses a free one.")] = 12111,
    api_key: Annotated[str, typer.Option(help="The secret key that requests must carry.")] = "sk_test_stand_in",
    retry_first: Annotated[float, typer.Option(help="Seconds before the first retry of a webhook.")] = 1.0,
    retry_longest: Annotated[float, typer.Option(help="Longest time between two attempts, in seconds.")] = 300.0,
) -> None:
    """Serve the Stripe stand-in on loopback until SIGTERM; the first line of output is its URL."""
    state.parent.mkdir(parents=True, exist_ok=True)
    with FolderLock(state.parent), socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        settings = StandInSettings(state, api_key, RetrySchedule(retry_first, retry_longest))
        typer.echo(f"Stripe stand-in: http://{LOOPBACK}:{listener.getsockname()[1]}")
        config = uvicorn.Config(create_stand_in(settings), log_level="warning", access_log=False)
        uvicorn.Server(config).run([listener])


if __name__ == "__main__":
    typer.run(main)
