"""Control tables ``totp_factors``, ``passkeys``, ``recovery_codes`` and ``mfa_challenges``."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, func, text
from sqlalchemy.orm import Mapped, mapped_column

from tenants.database.base import ControlModel, Versioned
from tenants.identifiers import PasskeyId, TenantId, UserId


class TotpFactor(ControlModel):
    """A person's authenticator app: at most one that is confirmed, and one that waits for its first code."""

    __tablename__ = "totp_factors"
    __table_args__ = (Index("uq_totp_factors_user_id", "user_id", text("(confirmed_at IS NULL)"), unique=True),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UserId] = mapped_column(ForeignKey("tenantry.users.id", ondelete="CASCADE"))
    secret_sealed: Mapped[bytes] = mapped_column(LargeBinary)  # bound to this row (SE1)
    last_step: Mapped[int | None] = mapped_column(BigInteger)  # time step of the last accepted code; later ones only
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    confirmed_at: Mapped[datetime | None]


class Passkey(Versioned, ControlModel):
    """A WebAuthn credential of a person."""

    __tablename__ = "passkeys"
    __table_args__ = (Index("ix_passkeys_user_id", "user_id"),)

    id: Mapped[PasskeyId] = mapped_column(primary_key=True)
    user_id: Mapped[UserId] = mapped_column(ForeignKey("tenantry.users.id", ondelete="CASCADE"))
    credential_id: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    public_key: Mapped[bytes] = mapped_column(LargeBinary)  # COSE_Key (RFC 9052 section 7)
    sign_count: Mapped[int] = mapped_column(BigInteger)
    synced: Mapped[bool]  # the authenticator may copy it to other devices
    transports: Mapped[list[str]]
    name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_used_at: Mapped[datetime | None]


class RecoveryCode(ControlModel):
    """A recovery code that was not used yet, as a keyed hash."""

    __tablename__ = "recovery_codes"
    __table_args__ = (Index("ix_recovery_codes_user_id", "user_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UserId] = mapped_column(ForeignKey("tenantry.users.id", ondelete="CASCADE"))
    digest: Mapped[bytes] = mapped_column(LargeBinary, unique=True)


class Challenge(ControlModel):
    """A step that a person has to take within minutes: a sign-in that waits for a factor, a challenge for a passkey.

    Only a keyed hash of the token or challenge is stored. The row is deleted when it is used.
    """

    __tablename__ = "mfa_challenges"
    __table_args__ = (Index("ix_mfa_challenges_expires_at", "expires_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    purpose: Mapped[str]
    digest: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    # None for a sign-in with a passkey, which names the person.
    user_id: Mapped[UserId | None] = mapped_column(ForeignKey("tenantry.users.id", ondelete="CASCADE"))
    tenant_id: Mapped[TenantId | None] = mapped_column(ForeignKey("tenantry.tenants.id", ondelete="CASCADE"))
    password_digest: Mapped[bytes | None] = mapped_column(LargeBinary)  # SHA-256 of the password's hash at that time
    methods: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))  # of the sign-in so far
    expires_at: Mapped[datetime]
