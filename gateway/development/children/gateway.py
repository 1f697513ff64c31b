"""``python -m gateway.development.children.gateway``: prepares the demo, then serves it.

One process for both, since either needs most of what the other imports. It imports while the parts start, then reads
from stdin where they are; nothing on stdin means that whoever started it has gone.
"""

import sys
from functools import partial

from gateway.development.environment import demo_settings
from gateway.development.handover import Handover
from gateway.development.ports import PartFailed
from gateway.development.prepare import prepare
from gateway.development.processes import LOOPBACK
from gateway.process.server import run_server


def main() -> int:
    """Serve until told to stop. Exit code 1, after one sentence, for what can be expected to fail."""
    raw = sys.stdin.buffer.read()
    if not raw:
        return 0
    handover = Handover.decode(raw)
    try:
        load = partial(demo_settings, prepare(handover).environment)
    except PartFailed as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0 if run_server(load, host=LOOPBACK, port=handover.port, workers=handover.workers) else 1


if __name__ == "__main__":
    sys.exit(main())
