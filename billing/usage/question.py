"""A question about usage: whose, over which whole buckets, how divided."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Self
from uuid import UUID

from tenants.errors import ValidationFailed
from tenants.identifiers import TenantId


class Granularity(StrEnum):
    """Length of a bucket; buckets begin where UTC's do."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"


class Group(StrEnum):
    """What a bucket is divided by."""

    NONE = "none"
    KEY = "key"
    ROUTE = "route"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class _Rule:
    step: timedelta
    longest: timedelta  # that one question may span: a year of minutes would be half a million buckets
    usual: timedelta  # when no beginning is given


_RULES = {
    Granularity.MINUTE: _Rule(timedelta(minutes=1), timedelta(days=1), timedelta(hours=1)),
    Granularity.HOUR: _Rule(timedelta(hours=1), timedelta(days=31), timedelta(days=1)),
    Granularity.DAY: _Rule(timedelta(days=1), timedelta(days=366), timedelta(days=30)),
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime(9999, 12, 30, tzinfo=UTC)  # whole buckets beyond it would have no name in Python


@dataclass(frozen=True, slots=True)
class Period:
    """From the beginning of the first bucket to the end of the last, in UTC."""

    since: datetime
    until: datetime
    granularity: Granularity

    @property
    def step(self) -> timedelta:
        """Length of a bucket."""
        return _RULES[self.granularity].step

    @classmethod
    def of(cls, since: datetime | None, until: datetime | None, granularity: Granularity, now: datetime) -> Self:
        """The whole buckets that hold what lies between. Raises ValidationFailed when that is nothing or too much."""
        rule = _RULES[granularity]
        end = _up(_within(until or now, "/query/to"), rule.step)
        start = _down(_within(since, "/query/from"), rule.step) if since else end - rule.usual
        if (since is not None and since >= (until or now)) or start >= end:
            raise ValidationFailed.at("/query/from", "bad_range", "Must be before the end of the range.")
        if end - start > rule.longest:
            days = rule.longest.days
            message = f"By {granularity} a range may span at most {days} day{'s' if days > 1 else ''}."
            raise ValidationFailed.at("/query/from", "range_too_long", message)
        return cls(start, end, granularity)


@dataclass(frozen=True, slots=True)
class Place:
    """A bucket, and what was divided in it: where a page ended."""

    start: datetime
    value: UUID | str | int | None  # of the group; None where there is none


@dataclass(frozen=True, slots=True)
class Question:
    """``count`` rows of one tenant's usage beyond ``after``, the earliest first."""

    tenant: TenantId
    period: Period
    group: Group
    count: int
    principal: UUID | None = None
    route: str | None = None
    after: Place | None = None


def _within(moment: datetime, pointer: str) -> datetime:
    if not _EPOCH <= moment <= _LAST:
        raise ValidationFailed.at(pointer, "bad_range", "No usage can be that far away.")
    return moment.astimezone(UTC)


def _down(moment: datetime, step: timedelta) -> datetime:
    return moment - (moment - _EPOCH) % step


def _up(moment: datetime, step: timedelta) -> datetime:
    return moment + (_EPOCH - moment) % step
