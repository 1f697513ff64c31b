"""``python -m tests.integration.http1.few_descriptors <files> <connections>``: a server with a low descriptor limit.

It prints its port and serves until its stdin is closed.
"""

import resource
import sys

from gateway.http1.timeouts import Limits
from tests.fixtures.http1 import run_server
from tests.integration.http1.applications import count_body


def main() -> None:
    """Lower the limit, then serve."""
    descriptors, connections = map(int, sys.argv[1:])
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
    with run_server(count_body, limits=Limits(max_connections=connections)) as server:
        sys.stdout.write(f"{server.port}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
