"""People: create, set password, disable, enable."""

from collections.abc import Awaitable, Callable, Hashable
from datetime import UTC, datetime

from tenants.database.sessions import ControlSession
from tenants.errors import NotFound
from tenants.identifiers import UserId
from tenants.users import repository
from tenants.users.models import User
from tenants.users.passwords import LEAST_CHARACTERS, PasswordHasher, checked_password

# Ends every sign-in of a person in all tenants, in the caller's transaction.
EndAllSignIns = Callable[[ControlSession, UserId, datetime], Awaitable[object]]


class Users:
    """Every call runs in the caller's transaction. Hash passwords before opening one: hashing is slow.

    A person who is disabled, or whose password changes, has to sign in again (ID11, ID15).
    """

    def __init__(self, passwords: PasswordHasher, end_all_sign_ins: EndAllSignIns) -> None:
        self._passwords = passwords
        self._end_all_sign_ins = end_all_sign_ins

    async def hash_password(
        self,
        password: str,
        email: str,
        *,
        least: int = LEAST_CHARACTERS,
        source: Hashable = None,
        lane: Hashable = None,
    ) -> str:
        """Check a new password and hash it. Callers wait by lane and source. Raises ValidationFailed."""
        checked_password(password, email, least)
        return await self._passwords.hash(password, source=source, lane=lane)

    async def ensure(self, session: ControlSession, email: str, name: str = "") -> User:
        """The person with this address, created without a password if unknown."""
        await repository.insert_unless_known(session, email, name)
        user = await repository.find_by_email(session, email)
        if user is None:
            raise NotFound(detail="the person was deleted concurrently")
        return user

    async def needs_password(self, session: ControlSession, email: str) -> bool:
        """Whether there is no account of this address, or it has no password."""
        user = await repository.find_by_email(session, email)
        return user is None or user.password_hash is None

    async def add(self, session: ControlSession, email: str, name: str, password_hash: str) -> UserId | None:
        """Create a person whose address is proven, with a password. None when the address has an account."""
        return await repository.insert_unless_known(session, email, name, password_hash)

    async def set_password(
        self, session: ControlSession, user: UserId, password_hash: str, *, is_short: bool = False
    ) -> None:
        """Store the hash of the person's password, which nobody else changes until the commit. Raises NotFound.

        A short one needs a second factor, which the caller checks afterwards.
        """
        found = await self._found(session, user)
        found.password_hash, found.password_is_short = password_hash, is_short
        await session.flush()
        await self._end_all_sign_ins(session, user, datetime.now(UTC))

    async def disable(self, session: ControlSession, user: UserId) -> None:
        """Disable a person in every tenant, at once. Raises NotFound."""
        found = await self._found(session, user)
        found.disabled_at = found.disabled_at or datetime.now(UTC)
        await session.flush()
        await self._end_all_sign_ins(session, user, datetime.now(UTC))

    async def enable(self, session: ControlSession, user: UserId) -> None:
        """Enable a person again. Earlier sign-ins stay ended. Raises NotFound."""
        (await self._found(session, user)).disabled_at = None

    async def _found(self, session: ControlSession, user: UserId) -> User:
        found = await repository.find(session, user)
        if found is None:
            raise NotFound
        return found
