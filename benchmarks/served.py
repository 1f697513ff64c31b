"""One application behind the server that ``tenantry serve`` runs: ``python -m benchmarks.served canned 1 8000``."""

import sys

from starlette.types import ASGIApp

from benchmarks import bare, canned
from gateway.development.processes import LOOPBACK
from gateway.process.applications import Create
from gateway.process.server import run_server
from gateway.settings import Settings


def _bare(_settings: Settings) -> ASGIApp:
    return bare.create_app()


def _wordy(_settings: Settings) -> ASGIApp:
    return bare.create_wordy_app()


_APPLICATIONS: dict[str, Create] = {"bare": _bare, "wordy": _wordy, "canned": canned.create_app}


def main() -> None:
    """Serve until told to stop. Arguments: which, how many workers, the port."""
    name, workers, port = sys.argv[1:]
    create = _APPLICATIONS[name]
    sys.exit(not run_server(Settings, host=LOOPBACK, port=int(port), workers=int(workers), create=create))


if __name__ == "__main__":
    main()
