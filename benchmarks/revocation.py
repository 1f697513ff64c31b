"""Milliseconds from a change to the moment at which every worker acts on it.

Four workers of the gateway, all on one core, answer other tenants all the while. Each round warms a credential on every
worker, commits one change, and asks each worker every 5 ms until its answer shows the change. Counted from the moment
at which the commit was answered; the slowest worker counts.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import LiteralString, NamedTuple
from uuid import UUID

from benchmarks.driving import Pace, helpers, paced
from benchmarks.effort import Effort, say
from benchmarks.population import Control, new_secrets, open_control, open_tokens
from benchmarks.report import Bound, Cell, Column, Report, Table, Target
from benchmarks.stand import PLAN, Stand, open_stand
from benchmarks.watch import Shows, Workers
from gateway.development.load import request_bytes
from tenants.identifiers import TenantId, UserId
from tenants.sign_in.access_tokens import AccessTokens

_WORKERS = 4
_OTHERS = 100  # tenants that are answered meanwhile
_RATE = 400  # of their requests a second, over all workers
_FASTEST, _LONGEST = 50.0, 1000.0  # milliseconds: p99 and maximum that are to be reached (ID4)
_COPY_OF_PLAN: LiteralString = (
    "INSERT INTO plans (code, name, rank, windows, features)"
    " SELECT %(code)s, name, %(rank)s, windows, features FROM plans WHERE code = 'bench'"
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


def measure(effort: Effort) -> Report:
    """p50, p99 and the longest of each kind of change."""
    with open_stand() as stand, open_control(stand) as control:
        urls = tuple(stand.servers.gateway(TENANTRY_WORKERS=str(_WORKERS)).url for _ in range(_WORKERS))
        with _subject(stand, control) as subject, ThreadPoolExecutor(len(urls)) as threads, helpers(1) as beside:
            others = beside.apply_async(paced, (_others(control, urls),))
            delays = _measure(Workers(urls, threads), subject, effort)
            if others.ready():
                raise SystemExit(f"the load beside has ended by itself: {others.get()}")
    return Report([_table(delays)], _targets(delays))


def _measure(workers: Workers, subject: Subject, effort: Effort) -> dict[str, list[float]]:
    delays: dict[str, list[float]] = {}
    for name, make in subject.kinds().items():
        rounds = effort.of(300, 10) if "key" in name else effort.of(100, 4)
        say(f"{name}, {rounds} times")
        delays[name] = []
        for number in range(rounds):
            credential, change, shows = make(number)
            workers.warm(credential)
            delays[name].append(workers.time_to_show(credential, shows, change) * 1000)
    return delays


@contextmanager
def _subject(stand: Stand, control: Control) -> Iterator[Subject]:
    for rank, code in enumerate(("one", "two"), 10):
        control.execute(_COPY_OF_PLAN, code=code, rank=rank)
    (tenant,) = control.add_tenants(1, "one")
    (key,) = control.add_keys([tenant], 1)
    with open_tokens(stand) as tokens:
        yield Subject(control, tokens, tenant, control.add_member(tenant), key)


def _others(control: Control, urls: tuple[str, ...]) -> Pace:
    keys = control.add_keys(control.add_tenants(_OTHERS, PLAN), _OTHERS)
    return Pace(urls, [request_bytes(f"{urls[0]}/v1/me", {"X-API-Key": key}) for key in keys], _RATE)


def _at(delays: list[float], share: float) -> float:
    ordered = sorted(delays)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _table(delays: dict[str, list[float]]) -> Table:
    title = f"From a change to its force on {_WORKERS} workers, beside {_RATE} requests a second"
    columns = (
        Column("change"),
        Column("rounds", ","),
        *(Column(name, ".1f") for name in ("p50 ms", "p99 ms", "max ms")),
    )
    rows: list[list[Cell]] = [
        [name, len(taken), *(_at(taken, share) for share in (0.5, 0.99, 1.0))] for name, taken in delays.items()
    ]
    return Table(title, columns, rows)


def _targets(delays: dict[str, list[float]]) -> list[Target]:
    together = [delay for taken in delays.values() for delay in taken]
    return [
        Target("change in force on 4 workers, p99 ms", Bound.AT_MOST, _FASTEST, _at(together, 0.99), ".0f"),
        Target("change in force on 4 workers, longest ms", Bound.AT_MOST, _LONGEST, max(together), ".0f"),
    ]
