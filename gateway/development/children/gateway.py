"""``python -m gateway.development.children.gateway``: prepares the demo, then serves it.

One process does both, because both need most of the same imports. It imports while the servers start, then reads
their addresses from stdin. Empty input means that its parent has exited.
"""

import gc
import sys
from functools import partial

from gateway.development.environment import demo_settings
from gateway.development.options import PrepareInput
from gateway.development.prepare import prepare
from gateway.development.processes import LOOPBACK
from gateway.development.servers import DevelopmentError
from gateway.process.server import run_server

gc.enable()  # disabled by the package while this module imports


def main() -> int:
    """Serve until SIGTERM. Exit code 1 after a message, without a traceback, for an expected error."""
    raw = sys.stdin.buffer.read()
    if not raw:
        return 0
    given = PrepareInput.decode(raw)
    try:
        load = partial(demo_settings, prepare(given).environment)
    except DevelopmentError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0 if run_server(load, host=LOOPBACK, port=given.port, workers=given.workers) else 1


if __name__ == "__main__":
    sys.exit(main())
