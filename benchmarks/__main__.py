"""Every benchmark, one after another: ``make bench``. ``ARGS="gate requests"`` runs only those."""

import argparse
import subprocess
import sys

_ALL = ("gate", "protocol", "half_open", "requests", "data", "fairness", "revocation")


def main() -> None:
    """Each in a process of its own, so that none warms another. Exits with the number of those that failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of: {', '.join(_ALL)}")
    names = parser.parse_args().names or _ALL
    unknown = set(names) - set(_ALL)
    if unknown:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    sys.exit(sum(_run(name) != 0 for name in names))


def _run(name: str) -> int:
    return subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode  # noqa: S603 - our own


if __name__ == "__main__":
    main()
