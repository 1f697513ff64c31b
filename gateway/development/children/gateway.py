"""``python -m gateway.development.children.gateway <env file> <port> <workers>``."""

import sys
from pathlib import Path

from gateway.development.children.word import await_word
from gateway.development.environment import demo_settings
from gateway.development.processes import LOOPBACK
from gateway.server import run_server


def main(env_file: str, port: str, workers: str) -> int:
    """Serve the API until told to stop."""
    await_word()
    started = run_server(demo_settings(Path(env_file)), host=LOOPBACK, port=int(port), workers=int(workers))
    return 0 if started else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
