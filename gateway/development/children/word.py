"""The word that a waiting process begins at."""

import sys


def await_word() -> None:
    """Return when a line comes. Exits when stdin ends without one: whoever started us has gone."""
    if not sys.stdin.readline():
        sys.exit()
