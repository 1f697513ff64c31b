"""The status of a key, from its times. The SQL of the same is in ``repository.py``, for filters."""

from datetime import datetime
from enum import StrEnum
from typing import Protocol


class KeyStatus(StrEnum):
    ACTIVE = "active"
    ROTATING = "rotating"  # it has a successor, and works until its overlap ends
    DISABLED = "disabled"
    EXPIRED = "expired"
    REVOKED = "revoked"


class Ends(Protocol):
    """The times of a key that its status follows from."""

    @property
    def expires_at(self) -> datetime | None: ...

    @property
    def rotated_at(self) -> datetime | None: ...

    @property
    def disabled_at(self) -> datetime | None: ...

    @property
    def revoked_at(self) -> datetime | None: ...


def status_of(key: Ends, now: datetime) -> KeyStatus:
    """What ended for good comes before what can be undone."""
    if key.revoked_at is not None:
        return KeyStatus.REVOKED
    if has_expired(key, now):
        return KeyStatus.EXPIRED
    if key.disabled_at is not None:
        return KeyStatus.DISABLED
    return KeyStatus.ACTIVE if key.rotated_at is None else KeyStatus.ROTATING


def has_ended(key: Ends, now: datetime) -> bool:
    """Revoked or expired: nothing makes such a key work again."""
    return key.revoked_at is not None or has_expired(key, now)


def has_expired(key: Ends, now: datetime) -> bool:
    """The time at which it ends has come."""
    return key.expires_at is not None and key.expires_at <= now
