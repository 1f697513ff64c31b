"""Control table ``api_key_notices``."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from tenants.database.base import ControlModel
from tenants.identifiers import ApiKeyId


class KeyNotice(ControlModel):
    """The last notice of each kind about a key, written with its event and its messages: each is given once.

    A table of its own: a change of ``api_keys`` is announced to every worker and counts as a version.
    """

    __tablename__ = "api_key_notices"
    __table_args__ = (CheckConstraint("kind IN ('expiry', 'unused')", name="kind"),)

    key_id: Mapped[ApiKeyId] = mapped_column(ForeignKey("tenantry.api_keys.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    expires_at: Mapped[datetime | None]  # the end that the notice was about: a new one has notices of its own
    days: Mapped[int | None] = mapped_column(SmallInteger)  # before that end, 7 or 1
    noticed_at: Mapped[datetime]
