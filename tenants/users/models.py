"""Control table ``users``."""

from datetime import datetime

from sqlalchemy import Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from tenants.database.base import ControlModel, Versioned
from tenants.identifiers import UserId


class User(Versioned, ControlModel):
    """A person. E-mail addresses are unique regardless of case; the password is stored as an argon2id hash."""

    __tablename__ = "users"
    __table_args__ = (Index("uq_users_email", text("lower(email)"), unique=True),)

    id: Mapped[UserId] = mapped_column(primary_key=True)
    email: Mapped[str]
    name: Mapped[str] = mapped_column(server_default="")
    password_hash: Mapped[str | None]
    password_is_short: Mapped[bool] = mapped_column(server_default=text("false"))  # enough with a second factor alone
    disabled_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
