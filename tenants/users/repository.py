"""SQL of the control table ``users``."""

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert

from tenants.database.sessions import ControlSession
from tenants.identifiers import UserId, new_id
from tenants.users.models import User


async def find(session: ControlSession, user: UserId) -> User | None:
    """One person."""
    return await session.get(User, user)


async def find_by_email(session: ControlSession, email: str) -> User | None:
    """The person with this e-mail address, regardless of case."""
    return await session.scalar(select(User).where(func.lower(User.email) == func.lower(email)))


async def insert_unless_known(
    session: ControlSession, email: str, name: str, password_hash: str | None = None
) -> UserId | None:
    """Insert a person and return the new id. None when the address is taken."""
    values = {"id": UserId(new_id()), "email": email, "name": name, "password_hash": password_hash}
    added = insert(User).values(values).on_conflict_do_nothing(index_elements=[text("lower(email)")])
    return await session.scalar(added.returning(User.id))
