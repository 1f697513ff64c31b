"""Control tables ``gateway_workers`` and ``gateway_worker_epochs`` (docs/decisions/0040)."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, FetchedValue, Integer, func
from sqlalchemy.orm import Mapped, mapped_column

from tenants.database.base import ControlModel


class GatewayWorker(ControlModel):
    """A worker that may trust its cache. It removes its row when it stops; others remove the row of a killed one."""

    __tablename__ = "gateway_workers"
    __table_args__ = ({"prefixes": ["UNLOGGED"]},)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    host: Mapped[str]
    pid: Mapped[int]
    beat: Mapped[int] = mapped_column(BigInteger)  # counts the worker's heartbeats: no clock is compared
    seen: Mapped[int] = mapped_column(BigInteger)  # every change that was committed before this question is applied
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    confirmed_at: Mapped[datetime] = mapped_column(server_default=func.now())  # for people to read


class GatewayWorkerEpoch(ControlModel):
    """When the rows of ``gateway_workers`` began: at the migration, or after the last crash of the server."""

    __tablename__ = "gateway_worker_epochs"
    __table_args__ = ({"prefixes": ["UNLOGGED"]},)

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    began_at: Mapped[datetime] = mapped_column(server_default=FetchedValue())
