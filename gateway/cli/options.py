"""Options of several commands."""

from datetime import UTC, datetime, timedelta

import typer

_LONGEST_LIFE = 36_500  # days: more would pass the end of the calendar

NAMED_TENANT = typer.Argument(metavar="TENANT", help="Slug or id (tnt_…).")
EXPIRES_IN_DAYS = typer.Option(min=1, max=_LONGEST_LIFE, help="Days until it expires; by default it does not.")


def in_days(days: int | None) -> datetime | None:
    """The time so many days from now; None for none."""
    return None if days is None else datetime.now(UTC) + timedelta(days=days)
