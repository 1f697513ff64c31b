"""Billing periods: from an anchor, in whole intervals, without drifting over short months.

Source: https://docs.stripe.com/billing/subscriptions/billing-cycle: an anchor on the 31st bills on the last day of
shorter months and on the 31st again afterwards.
"""

import calendar
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

_DAYS = {"day": 1, "week": 7}
_MONTHS = {"month": 1, "year": 12}


class Period(NamedTuple):
    start: int  # seconds since the epoch
    end: int


def period_at(anchor: int, interval: str, count: int, now: int) -> Period:
    """The period that contains ``now``; the first one when the anchor is in the future."""
    number = 0
    while _step(anchor, interval, count * (number + 1)) <= now:
        number += 1
    return Period(_step(anchor, interval, count * number), _step(anchor, interval, count * (number + 1)))


def _step(anchor: int, interval: str, count: int) -> int:
    start = datetime.fromtimestamp(anchor, UTC)
    if interval in _DAYS:
        return int((start + timedelta(days=_DAYS[interval] * count)).timestamp())
    months = start.year * 12 + start.month - 1 + _MONTHS[interval] * count
    year, month = divmod(months, 12)
    day = min(start.day, calendar.monthrange(year, month + 1)[1])
    return int(start.replace(year=year, month=month + 1, day=day).timestamp())
