"""A naive baseline: the same libraries, combined as their documentation shows.

FastAPI, two BaseHTTPMiddlewares, SlowAPI's decorator over Redis, a pycasbin enforcer, SQLAlchemy's ORM; its own tables
with a tenant column. Nothing in it is slow on purpose, and nothing is cached.
"""

import hashlib
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated
from uuid import UUID, uuid4

import casbin
import psycopg
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from psycopg import sql
from pydantic import BaseModel, ConfigDict
from slowapi import Limiter
from slowapi.errors import RateLimitExceeded
from sqlalchemy import DateTime, MetaData, create_engine, func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from starlette.middleware.base import BaseHTTPMiddleware

from gateway import authorization
from tenants.roles.permissions import built_in_policy, catalogue

_SCHEMA = "naive"
_LIMITS = "1000000000/second;1000000000/minute;1000000000/hour"
_MODEL = Path(authorization.__file__).with_name("model.conf")
_RESOURCES = ("contacts", "deals")
_log = logging.getLogger(__name__)

Next = Callable[[Request], Awaitable[Response]]


class Base(DeclarativeBase):
    metadata = MetaData(schema=_SCHEMA)


class ApiKey(Base):
    """An API key by its hash."""

    __tablename__ = "api_keys"

    hash: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID]
    role: Mapped[str]


class Contact(Base):
    """The columns of the gateway's contacts."""

    __tablename__ = "contacts"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    tenant_id: Mapped[UUID] = mapped_column(index=True)
    name: Mapped[str]
    email: Mapped[str | None]
    company: Mapped[str | None]
    stage: Mapped[str]
    value_cents: Mapped[int] = mapped_column(default=0)
    notes: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class ContactOut(BaseModel):
    """The response model of a contact."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    email: str | None
    company: str | None
    stage: str
    value_cents: int
    notes: str | None
    created_at: datetime
    updated_at: datetime


class Page(BaseModel):
    """A page of contacts."""

    data: list[ContactOut]
    has_more: bool


class Timing(BaseHTTPMiddleware):
    """A request id and a log line, which is off in all benchmarks."""

    async def dispatch(self, request: Request, call_next: Next) -> Response:
        started = time.perf_counter()
        request.state.id = uuid4().hex
        response = await call_next(request)
        response.headers["X-Request-Id"] = request.state.id
        _log.debug("%s %s %.3f", request.method, request.url.path, time.perf_counter() - started)
        return response


class Authentication(BaseHTTPMiddleware):
    """Looks up the key of each request."""

    async def dispatch(self, request: Request, call_next: Next) -> Response:
        digest = hashlib.sha256(request.headers.get("x-api-key", "").encode()).hexdigest()
        async with request.app.state.sessions() as session:
            key = await session.get(ApiKey, digest)
        if key is None:
            return JSONResponse({"detail": "Unknown key"}, 401)
        request.state.key = key
        return await call_next(request)


def _key_of(request: Request) -> str:
    return str(request.state.key.tenant_id)


async def _session(request: Request) -> AsyncIterator[AsyncSession]:
    async with request.app.state.sessions() as session:
        yield session


def _may_read(request: Request) -> None:
    if not request.app.state.enforcer.enforce(request.state.key.role, "contacts", "read"):
        raise HTTPException(403)


def _too_many(_request: Request, _error: Exception) -> Response:
    return JSONResponse({"detail": "Too many requests"}, 429)


Sessions = Annotated[AsyncSession, Depends(_session)]


def create_app() -> FastAPI:
    """``GET /canned``, ``GET /v1/contacts/{id}`` and ``GET /v1/contacts?limit=``."""
    app = FastAPI(dependencies=[Depends(_may_read)])
    engine = create_async_engine(_url(os.environ["NAIVE_DATABASE_URL"]), pool_size=10)
    app.state.sessions = async_sessionmaker(engine, expire_on_commit=False)
    app.state.enforcer = casbin.Enforcer(str(_MODEL))
    app.state.enforcer.add_policies(_policy_lines())
    app.state.limiter = limiter = Limiter(key_func=_key_of, storage_uri=os.environ["TENANTRY_REDIS_URL"])
    app.add_exception_handler(RateLimitExceeded, _too_many)
    app.add_middleware(Authentication)
    app.add_middleware(Timing)

    @app.get("/canned")
    @limiter.limit(_LIMITS)
    async def canned(request: Request) -> dict[str, str]:  # noqa: ARG001 - required by SlowAPI's decorator
        return {"status": "ok"}

    @app.get("/v1/contacts/{contact_id}", response_model=ContactOut)
    @limiter.limit(_LIMITS)
    async def read(request: Request, contact_id: UUID, session: Sessions) -> Contact:
        query = select(Contact).where(Contact.id == contact_id, Contact.tenant_id == request.state.key.tenant_id)
        contact = (await session.scalars(query)).one_or_none()
        if contact is None:
            raise HTTPException(404)
        return contact

    @app.get("/v1/contacts", response_model=Page)
    @limiter.limit(_LIMITS)
    async def page(request: Request, limit: int, session: Sessions) -> dict[str, object]:
        query = select(Contact).where(Contact.tenant_id == request.state.key.tenant_id)
        rows = (await session.scalars(query.order_by(Contact.created_at.desc()).limit(limit + 1))).all()
        return {"data": rows[:limit], "has_more": len(rows) > limit}

    return app


def prepare(owner_url: str, api_key: str, rows: int) -> UUID:
    """Create the tables, a tenant with this key and its contacts; returns the id of one contact."""
    with psycopg.connect(owner_url) as owner:
        owner.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(_SCHEMA)))
    engine = create_engine(_url(owner_url))
    Base.metadata.create_all(engine)
    key = ApiKey(hash=hashlib.sha256(api_key.encode()).hexdigest(), tenant_id=uuid4(), role="member")
    with Session(engine) as session, session.begin():
        session.add(key)
        session.flush()
        contacts = [_contact(key) for _ in range(rows)]
        session.add_all(contacts)
        session.flush()
        one = contacts[0].id
    engine.dispose()
    return one


def _contact(key: ApiKey) -> Contact:
    name, email, company = "Ada Lovelace", "ada@example.com", "Analytical Engines"
    return Contact(tenant_id=key.tenant_id, name=name, email=email, company=company, stage="lead")


def _url(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


def _policy_lines() -> list[list[str]]:
    roles = built_in_policy(catalogue(_RESOURCES)).roles
    return [[role, *name.split(":")] for role, names in roles.items() for name in sorted(names)]
