"""``python -m gateway.development.mail --smtp-port 2525 --http-port 8025``."""

import asyncio
import socket
from typing import Annotated

import typer
import uvicorn

from gateway.development.mail.mailbox import Mailbox, smtp_protocol
from gateway.development.mail.pages import create_pages
from gateway.development.processes import LOOPBACK


def main(
    smtp_port: Annotated[int, typer.Option(help="Port of SMTP on loopback; 0 takes a free one.")] = 2525,
    http_port: Annotated[int, typer.Option(help="Port of the pages on loopback; 0 takes a free one.")] = 8025,
) -> None:
    """Take mail and show it, until told to stop."""
    asyncio.run(_serve(smtp_port, http_port))


async def _serve(smtp_port: int, http_port: int) -> None:
    mailbox = Mailbox()
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, http_port))
        smtp = await asyncio.get_running_loop().create_server(lambda: smtp_protocol(mailbox), LOOPBACK, smtp_port)
        async with smtp:
            config = uvicorn.Config(create_pages(mailbox), log_level="warning", access_log=False)
            await uvicorn.Server(config).serve([listener])


if __name__ == "__main__":
    typer.run(main)
