"""How many wrong passwords an account and a tenant admit, and who waits for whom (ID10, docs/decisions/0025).

Nobody is locked out: beyond an allowance an attempt gets a turn, a time from which it is admitted. Callers are divided
into lanes, each with allowances of its own, so that a stranger's failures do not delay the owner:

- a place from which a member of the tenant has signed in: a lane for each place;
- sources without a failed sign-in in the last day: new ones;
- all others.

Account and tenant are what the caller named, whether they exist or not, so that unknown ones are treated alike.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

PLACE_LIFE = timedelta(days=90)  # after the last sign-in from there
PLACES = 5  # of one person in one tenant, the latest
FAILURE_LIFE = timedelta(days=1)  # for which a source counts as one that has failed
LONGEST_WAIT = timedelta(seconds=60)  # for a turn; beyond that, none is given
TURN_LIFE = timedelta(seconds=60)  # for which a turn can be used once it has come

_NONE = timedelta(0)


class Lane(StrEnum):
    """Callers that wait for one another."""

    PLACE = "place"
    NEW = "new"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Source:
    """Where an attempt comes from."""

    address: str  # an IPv4 address, or the /64 of an IPv6 one
    network: str  # what one party usually holds: an IPv4 address, or the /48 of an IPv6 one


@dataclass(frozen=True, slots=True)
class Allowance:
    """``attempts`` at once, then one each ``interval``: a generic cell rate algorithm.

    Its state is one time, until which earlier attempts are remembered: each adds an interval.
    """

    attempts: int
    interval: timedelta

    def wait(self, until: datetime, now: datetime) -> timedelta:
        """How long until one more attempt is allowed; negative when it already is."""
        return until - now - (self.attempts - 1) * self.interval


ACCOUNT = Allowance(attempts=10, interval=timedelta(seconds=15))
# Attempts are charged before the password is checked, so it must exceed what all workers check at once.
TENANT = Allowance(attempts=300, interval=timedelta(seconds=1))


@dataclass(frozen=True, slots=True)
class AllowanceState:
    """What is stored for one attempt, at a time of the database."""

    now: datetime
    account: datetime  # until which earlier attempts are remembered
    tenant: datetime
    turn: datetime | None  # of this source at this account


@dataclass(frozen=True, slots=True)
class Decision:
    """``wait`` is zero for an attempt that is admitted. A turn is charged when it is given, not when it is used."""

    wait: timedelta
    is_charged: bool
    turn: datetime | None = None  # given now


def decide(state: AllowanceState, account: Allowance = ACCOUNT) -> Decision:
    """Admit the attempt, or tell it how long to wait. ``account`` is the allowance of the account."""
    if state.turn is not None and state.now <= state.turn + TURN_LIFE:
        return Decision(max(state.turn - state.now, _NONE), is_charged=False)
    wait = max(account.wait(state.account, state.now), TENANT.wait(state.tenant, state.now), _NONE)
    if wait > LONGEST_WAIT:
        return Decision(LONGEST_WAIT, is_charged=False)
    return Decision(wait, is_charged=True, turn=state.now + wait if wait else None)
