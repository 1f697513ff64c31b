"""``python -m gateway.development.children.worker <env file>``: the demo's job worker."""

import gc
import sys
from pathlib import Path

from gateway.development.environment import demo_settings
from gateway.worker import run_worker
from tenants.jobs.app import JobSettings

gc.enable()  # disabled by the package while this module imports


def main(env_file: str) -> None:
    """Run jobs until SIGTERM."""
    run_worker(demo_settings(Path(env_file)), JobSettings())


if __name__ == "__main__":
    main(*sys.argv[1:])
