"""Milliseconds from a change to the moment at which every worker acts on it: ``python -m benchmarks.revocation``.

Workers of the gateway, all on one core, answer other tenants all the while. Each round warms a credential on every
worker, commits one change, and asks each worker every 5 ms until its answer shows the change. Counted from the moment
at which the commit was answered; the slowest worker counts.
"""

import argparse
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import LiteralString, NamedTuple
from uuid import UUID

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.load import request_bytes
from benchmarks.paced import Pace, beside
from benchmarks.population import Control, new_secrets, open_control
from benchmarks.stand import Stand, open_stand, settings_of
from benchmarks.watch import Shows, Workers
from gateway.services import build_services
from tenants.identifiers import TenantId, UserId, new_id
from tenants.sign_in.access_tokens import AccessTokens

_OTHERS = 100  # tenants that are answered meanwhile
_COPY_OF_PLAN: LiteralString = (
    "INSERT INTO plans (code, name, rank, windows, features)"
    " SELECT %(code)s, name, %(rank)s, windows, features FROM plans WHERE code = 'bench'"
)
_USER: LiteralString = "INSERT INTO users (id, email) VALUES (%(user)s, 'ada@example.com')"
_MEMBERSHIP: LiteralString = (
    "INSERT INTO memberships (tenant_id, user_id, roles) VALUES (%(tenant)s, %(user)s, '{member}')"
)
_REVOKE: LiteralString = "UPDATE api_keys SET revoked_at = now() WHERE digest = %(digest)s"
_DISABLE: LiteralString = "UPDATE users SET disabled_at = %(to)s::timestamptz WHERE id = %(user)s"
_ROLES: LiteralString = "UPDATE memberships SET roles = ARRAY[%(to)s] WHERE user_id = %(user)s"
_WINDOW: LiteralString = (
    "UPDATE plans SET windows = jsonb_set(windows, '{0,quota}', to_jsonb(%(to)s::int)) WHERE code = 'one'"
)
_PLAN: LiteralString = "UPDATE tenants SET plan_code = %(to)s WHERE id = %(tenant)s"
_STATUS: LiteralString = "UPDATE tenants SET status = %(to)s WHERE id = %(tenant)s"


class Round(NamedTuple):
    """What is sent, what happens, and what is then answered."""

    credential: str
    change: Callable[[], None]
    shows: Shows


@dataclass(frozen=True, slots=True)
class Subject:
    """One tenant and one person, to whom everything happens."""

    control: Control
    tokens: AccessTokens
    tenant: UUID
    user: UUID
    key: str

    def kinds(self) -> dict[str, Callable[[int], Round]]:
        """Every kind of change, as what makes its rounds: those with an even number change to, the others fro."""
        disabled, roles = ("2026-01-01", None), ("viewer", "member")
        quotas, plans, states = (50_000_000, 60_000_000), ("two", "one"), ("suspended", "active")
        return {
            "key revoked": self._revoked,
            "refused key made": self._made,
            "user disabled, enabled": partial(
                self._turned, _DISABLE, disabled, [_status(401), _status(200)], token=True
            ),
            "membership's role changed": partial(
                self._turned, _ROLES, roles, [_roles(each) for each in roles], token=True
            ),
            "plan's own windows changed": partial(self._turned, _WINDOW, quotas, [_quota(each) for each in quotas]),
            "tenant moved to another plan": partial(self._turned, _PLAN, plans, [_plan(each) for each in plans]),
            "tenant suspended, resumed": partial(self._turned, _STATUS, states, [_status(403), _status(200)]),
        }

    def _revoked(self, _number: int) -> Round:
        (secret,) = self.control.add_keys([self.tenant], 1)
        digest = self.control.hasher.digest(secret).value
        return Round(secret, partial(self.control.execute, _REVOKE, digest=digest), _status(401))

    def _made(self, _number: int) -> Round:
        (secret,) = new_secrets(1)
        return Round(secret, partial(self.control.add, {secret: self.tenant}), _status(200))

    def _turned(
        self,
        statement: LiteralString,
        values: tuple[object, object],
        shown: list[Shows],
        number: int,
        *,
        token: bool = False,
    ) -> Round:
        turn = number % 2
        change = partial(self.control.execute, statement, to=values[turn], user=self.user, tenant=self.tenant)
        return Round(self._token() if token else self.key, change, shown[turn])

    def _token(self) -> str:
        return self.tokens.issue(UserId(self.user), TenantId(self.tenant), UUID(int=0))


def _status(status: int) -> Shows:
    return lambda answer: answer.status == status


def _roles(role: str) -> Shows:
    return lambda answer: bool(answer.body["principal"]["roles"] == [role])


def _plan(code: str) -> Shows:
    return lambda answer: bool(answer.body["plan"]["code"] == code)


def _quota(quota: int) -> Shows:
    return lambda answer: bool(answer.body["plan"]["limits"][0]["quota"] == quota)


def main() -> None:
    """Run the rounds, print p50, p99 and max of each kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=1000, help="of keys")
    parser.add_argument("--other-rounds", type=int, default=300, help="of each other kind")
    parser.add_argument("--rate", type=float, default=400, help="requests a second of other tenants, over all workers")
    options = parser.parse_args()
    with open_stand() as stand, open_control(stand) as control:
        urls = tuple(stand.serve("gateway.app:create_app")[0] for _ in range(options.workers))
        with (
            _subject(stand, control) as subject,
            beside(_others(control, urls, options.rate)),
            ThreadPoolExecutor(len(urls)) as threads,
        ):
            delays = _measure(Workers(urls, threads), subject, options.rounds, options.other_rounds)
    title = f"from a change to its force on {len(urls)} workers, beside {options.rate:.0f} requests a second"
    Console().print(_table(delays, title))


def _measure(workers: Workers, subject: Subject, key_rounds: int, rounds: int) -> dict[str, list[float]]:
    delays: dict[str, list[float]] = {}
    for name, make in subject.kinds().items():
        delays[name] = []
        for number in track(range(key_rounds if "key" in name else rounds), name):
            credential, change, shows = make(number)
            workers.warm(credential)
            delays[name].append(workers.time_to_show(credential, shows, change))
    return delays


@contextmanager
def _subject(stand: Stand, control: Control) -> Iterator[Subject]:
    user = new_id()
    for rank, code in enumerate(("one", "two"), 1):
        control.execute(_COPY_OF_PLAN, code=code, rank=rank)
    (tenant,) = control.add_tenants(1, "one")
    (key,) = control.add_keys([tenant], 1)
    control.execute(_USER, user=user)
    control.execute(_MEMBERSHIP, tenant=tenant, user=user)
    services = build_services(settings_of(stand.environment))
    try:
        yield Subject(control, services.identity.tokens, tenant, user, key)
    finally:
        services.identity.close()


def _others(control: Control, urls: tuple[str, ...], rate: float) -> Pace:
    keys = control.add_keys(control.add_tenants(_OTHERS, "bench"), _OTHERS)
    return Pace(urls, [request_bytes(f"{urls[0]}/v1/me", {"X-API-Key": key}) for key in keys], rate)


def _table(delays: dict[str, list[float]], title: str) -> Table:
    table = Table("change", "rounds", "p50 ms", "p99 ms", "max ms", title=title)
    for name, seconds in delays.items():
        ordered = sorted(seconds)
        figures = (ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.5, 0.99, 1.0))
        table.add_row(name, f"{len(ordered):,}", *(f"{figure * 1000:.1f}" for figure in figures))
    return table


if __name__ == "__main__":
    main()
