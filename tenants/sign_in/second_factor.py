"""When a sign-in needs a second factor: the rule, and what the feature of second factors offers to sign-in."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from tenants.database.sessions import ControlSession
from tenants.errors import Forbidden
from tenants.identifiers import UserId
from tenants.members.repository import Member
from tenants.sign_in.schemas import MfaChallenge

# Authentication method references (RFC 8176), and two of ours: a recovery code, and single sign-on.
OTP, HARDWARE_KEY, SOFTWARE_KEY, RECOVERY_CODE, FEDERATED = "otp", "hwk", "swk", "rcv", "fed"

# A passkey without a password counts, since it is accepted only when the authenticator has verified the person. A
# tenant that signs in through an identity provider leaves its second factor to it (docs/decisions/0033).
MULTI_FACTOR = frozenset({OTP, HARDWARE_KEY, SOFTWARE_KEY, RECOVERY_CODE, FEDERATED})


class SecondFactorNeeded(Forbidden):
    """The sign-in used a password alone; the person has a second factor, or the tenant requires one."""

    message = "Sign in with a second factor first."


def is_multi_factor(methods: Iterable[str]) -> bool:
    """Whether a sign-in with these methods used more than a password."""
    return not MULTI_FACTOR.isdisjoint(methods)


class SecondFactors(Protocol):
    """Every call runs in the caller's transaction, which holds the member."""

    async def is_needed(self, session: ControlSession, member: Member, methods: Sequence[str]) -> bool:
        """Whether these methods are not enough. Whether the person has a factor does not change in the transaction."""

    async def has_any(self, session: ControlSession, user: UserId) -> bool:
        """Whether the person has enrolled one, so that every sign-in with their password needs it."""

    async def begin(self, session: ControlSession, member: Member, methods: Sequence[str]) -> MfaChallenge:
        """Let the sign-in wait for a second factor."""
