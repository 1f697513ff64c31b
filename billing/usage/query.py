"""A query about usage: tenant, period of whole buckets, grouping."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Self
from uuid import UUID

from tenants.errors import ValidationFailed
from tenants.identifiers import TenantId


class Granularity(StrEnum):
    """Length of a bucket; buckets are aligned to UTC."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"


class Group(StrEnum):
    """What the rows of a bucket are grouped by."""

    NONE = "none"
    KEY = "key"
    ROUTE = "route"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class _Limits:
    step: timedelta
    longest: timedelta  # of one query: a year of minutes would be half a million buckets
    default: timedelta  # when no start is given


_LIMITS = {
    Granularity.MINUTE: _Limits(timedelta(minutes=1), timedelta(days=1), timedelta(hours=1)),
    Granularity.HOUR: _Limits(timedelta(hours=1), timedelta(days=31), timedelta(days=1)),
    Granularity.DAY: _Limits(timedelta(days=1), timedelta(days=366), timedelta(days=30)),
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime(9999, 12, 30, tzinfo=UTC)  # the end of a bucket after it would exceed datetime.max


@dataclass(frozen=True, slots=True)
class Period:
    """From the start of the first bucket to the end of the last, in UTC."""

    since: datetime
    until: datetime
    granularity: Granularity

    @property
    def step(self) -> timedelta:
        """Length of a bucket."""
        return _LIMITS[self.granularity].step

    @classmethod
    def of(cls, since: datetime | None, until: datetime | None, granularity: Granularity, now: datetime) -> Self:
        """The whole buckets that cover the range. Raises ValidationFailed for an empty or too long range."""
        limits = _LIMITS[granularity]
        end = _round_up(_within(until or now, "/query/to"), limits.step)
        start = _round_down(_within(since, "/query/from"), limits.step) if since else end - limits.default
        if (since is not None and since >= (until or now)) or start >= end:
            raise ValidationFailed.at("/query/from", "bad_range", "Must be before the end of the range.")
        if end - start > limits.longest:
            days = limits.longest.days
            message = f"The longest range by {granularity} is {days} day{'s' if days > 1 else ''}."
            raise ValidationFailed.at("/query/from", "range_too_long", message)
        return cls(start, end, granularity)


@dataclass(frozen=True, slots=True)
class PagePosition:
    """The last row of a page: its bucket and group value."""

    start: datetime
    value: UUID | str | int | None  # of the group; None without grouping


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """``count`` rows of one tenant's usage following ``after``, earliest first."""

    tenant: TenantId
    period: Period
    group: Group
    count: int
    principal: UUID | None = None
    route: str | None = None
    after: PagePosition | None = None


def _within(moment: datetime, pointer: str) -> datetime:
    if not _EPOCH <= moment <= _LAST:
        raise ValidationFailed.at(pointer, "bad_range", "Out of range.")
    return moment.astimezone(UTC)


def _round_down(moment: datetime, step: timedelta) -> datetime:
    return moment - (moment - _EPOCH) % step


def _round_up(moment: datetime, step: timedelta) -> datetime:
    return moment + (_EPOCH - moment) % step
