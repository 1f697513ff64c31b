"""Run as ``python -m tests.integration.http1.few_descriptors <files> <connections>``: a server with that many files.

Prints its port, and serves until its stdin is closed.
"""

import resource
import sys

from gateway.http1.shared import Limits
from tests.fixtures.http1 import serving
from tests.integration.http1.applications import reads


def main() -> None:
    """Lower the limit, then serve."""
    descriptors, connections = map(int, sys.argv[1:])
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
    with serving(reads, limits=Limits(most_connections=connections)) as edge:
        sys.stdout.write(f"{edge.port}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
