"""What endpoints and stages are given: built once by ``gateway/app.py``, reached through ``app.state``."""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from billing.plans.book import PlanBook
from gateway.authorization.authorizer import Authorizer
from gateway.settings import Settings
from tenants.database.listener import ChangeListener
from tenants.database.sessions import Database


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of one worker process. Frozen: nothing is swapped while requests run."""

    settings: Settings
    database: Database
    listener: ChangeListener
    plan_book: PlanBook
    authorizer: Authorizer


def services_of(request: Request) -> Services:
    """The services of the app that answers this request."""
    return cast("Services", request.app.state.services)


async def _services(request: Request) -> Services:
    return services_of(request)


ServicesDep = Annotated[Services, Depends(_services)]
