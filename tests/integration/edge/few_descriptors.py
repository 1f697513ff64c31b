"""Run as ``python -m tests.integration.edge.few_descriptors <descriptors> <connections>``: a server with so many files.

Prints its port, and serves until its stdin is closed.
"""

import resource
import sys

from gateway.edge.shared import Limits
from tests.fixtures.edge import serving
from tests.integration.edge.applications import reads


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
