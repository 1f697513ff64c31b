"""The delay from a committed change until every worker enforces it, and until its answer says so.

Four workers of the gateway on one core serve other tenants meanwhile. Each round sends a credential to every worker,
commits one change, and polls each worker every 5 ms until its response shows the change. The delay starts when the
commit returns and ends with the slowest worker.

Then keys are revoked through the API, which answers when every worker enforces it (ID14): ``answers.py``.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import LiteralString, NamedTuple
from uuid import UUID

from benchmarks.answers import Answers, measure_answers
from benchmarks.deployment import PLAN, Deployment, open_deployment
from benchmarks.options import Options, log_progress
from benchmarks.polling import Condition, WorkerPoller
from benchmarks.population import ControlTables, new_secrets, open_control, open_tokens
from benchmarks.report import Bound, Cell, Column, Report, Table, Target
from benchmarks.workloads import PacedLoad, load_processes
from gateway.development.load import request_bytes
from tenants.identifiers import TenantId, UserId
from tenants.sign_in.access_tokens import AccessTokens

_WORKERS = 4
_ROUNDS = {"key revoked": (300, 10), "key created after a rejection": (300, 10), "role changed": (1_000, 10)}
_OTHER_TENANTS = 100  # with load meanwhile
_RATE = 400  # of their requests per second, over all workers
_MAX_P99, _MAX_DELAY = 50.0, 1000.0  # milliseconds: the targets (ID4)
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
    """The credential, the change, and the condition that shows it."""

    credential: str
    change: Callable[[], None]
    condition: Condition


@dataclass(frozen=True, slots=True)
class Subject:
    """The tenant and the user that are changed."""

    control: ControlTables
    tokens: AccessTokens
    tenant: UUID
    user: UUID
    key: str

    def kinds(self) -> dict[str, Callable[[int], Round]]:
        """A function for each kind of change that makes a round: even rounds apply the change, odd ones revert it."""
        disabled, roles = ("2026-01-01", None), ("viewer", "member")
        quotas, plans, states = (50_000_000, 60_000_000), ("two", "one"), ("suspended", "active")
        return {
            "key revoked": self._revoke_key,
            "key created after a rejection": self._create_key,
            "user disabled, enabled": partial(
                self._toggle, _DISABLE, disabled, [_status(401), _status(200)], token=True
            ),
            "role changed": partial(self._toggle, _ROLES, roles, [_roles(each) for each in roles], token=True),
            "plan's limits changed": partial(self._toggle, _WINDOW, quotas, [_quota(each) for each in quotas]),
            "tenant moved to another plan": partial(self._toggle, _PLAN, plans, [_plan(each) for each in plans]),
            "tenant suspended, resumed": partial(self._toggle, _STATUS, states, [_status(403), _status(200)]),
        }

    def _revoke_key(self, _number: int) -> Round:
        (secret,) = self.control.add_keys([self.tenant], 1)
        digest = self.control.hasher.digest(secret).value
        return Round(secret, partial(self.control.execute, _REVOKE, digest=digest), _status(401))

    def _create_key(self, _number: int) -> Round:
        (secret,) = new_secrets(1)
        return Round(secret, partial(self.control.add, {secret: self.tenant}), _status(200))

    def _toggle(
        self,
        statement: LiteralString,
        values: tuple[object, object],
        conditions: list[Condition],
        number: int,
        *,
        token: bool = False,
    ) -> Round:
        turn = number % 2
        change = partial(self.control.execute, statement, to=values[turn], user=self.user, tenant=self.tenant)
        return Round(self._token() if token else self.key, change, conditions[turn])

    def _token(self) -> str:
        return self.tokens.issue(UserId(self.user), TenantId(self.tenant), UUID(int=0))


def _status(status: int) -> Condition:
    return lambda response: response.status == status


def _roles(role: str) -> Condition:
    return lambda response: bool(response.body["principal"]["roles"] == [role])


def _plan(code: str) -> Condition:
    return lambda response: bool(response.body["plan"]["code"] == code)


def _quota(quota: int) -> Condition:
    return lambda response: bool(response.body["plan"]["limits"][0]["quota"] == quota)


def measure(options: Options) -> Report:
    """Measure the p50, p99 and maximum delay of each kind of change."""
    with open_deployment() as deployment, open_control(deployment) as control:
        urls = tuple(deployment.servers.gateway(TENANTRY_WORKERS=str(_WORKERS)).url for _ in range(_WORKERS))
        with (
            _subject(deployment, control) as subject,
            ThreadPoolExecutor(len(urls)) as threads,
            load_processes(1) as load_pool,
        ):
            others = load_pool.apply_async(_other_load(control, urls).run)
            delays = _measure(WorkerPoller(urls, threads), subject, options)
            if others.ready():
                raise SystemExit(f"the background load has ended: {others.get()}")
        with load_processes(1) as load_pool:
            answers = load_pool.apply(measure_answers(urls, deployment.tenant.api_key, options).run)
    return Report([_table(delays), _answers_table(answers)], _targets(delays) + _answers_targets(answers))


def _measure(poller: WorkerPoller, subject: Subject, options: Options) -> dict[str, list[float]]:
    delays: dict[str, list[float]] = {}
    for name, make in subject.kinds().items():
        rounds = options.scale(*_ROUNDS.get(name, (100, 4)))
        log_progress(f"{name}, {rounds} times")
        delays[name] = []
        for number in range(rounds):
            credential, change, condition = make(number)
            poller.warm(credential)
            delays[name].append(poller.seconds_until(condition, credential, change) * 1000)
    return delays


@contextmanager
def _subject(deployment: Deployment, control: ControlTables) -> Iterator[Subject]:
    for rank, code in enumerate(("one", "two"), 10):
        control.execute(_COPY_OF_PLAN, code=code, rank=rank)
    (tenant,) = control.add_tenants(1, "one")
    (key,) = control.add_keys([tenant], 1)
    with open_tokens(deployment) as tokens:
        yield Subject(control, tokens, tenant, control.add_member(tenant), key)


def _other_load(control: ControlTables, urls: tuple[str, ...]) -> PacedLoad:
    keys = control.add_keys(control.add_tenants(_OTHER_TENANTS, PLAN), _OTHER_TENANTS)
    return PacedLoad(urls, [request_bytes(f"{urls[0]}/v1/me", {"X-API-Key": key}) for key in keys], _RATE)


def _quantile(delays: list[float], share: float) -> float:
    ordered = sorted(delays)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _table(delays: dict[str, list[float]]) -> Table:
    title = f"From a change to its enforcement on {_WORKERS} workers, during {_RATE} requests per second"
    columns = (
        Column("change"),
        Column("rounds", ","),
        *(Column(name, ".1f") for name in ("p50 ms", "p99 ms", "max ms")),
    )
    rows: list[list[Cell]] = [
        [name, len(taken), *(_quantile(taken, share) for share in (0.5, 0.99, 1.0))] for name, taken in delays.items()
    ]
    return Table(title, columns, rows)


def _targets(delays: dict[str, list[float]]) -> list[Target]:
    all_delays = [delay for taken in delays.values() for delay in taken]
    return [
        Target("change enforced on 4 workers, p99 ms", Bound.AT_MOST, _MAX_P99, _quantile(all_delays, 0.99), ".0f"),
        Target("change enforced on 4 workers, maximum ms", Bound.AT_MOST, _MAX_DELAY, max(all_delays), ".0f"),
    ]


def _answers_table(answers: Answers) -> Table:
    title = f"Answers to revocations through the API on {_WORKERS} workers, each in force on all of them"
    names = ("revocations", "p50 ms", "p99 ms", "max ms", "requests", "begun after the answer", "of these admitted")
    taken = [seconds * 1000 for seconds in answers.seconds]
    columns = [Column(name, ".1f" if name.endswith("ms") else ",") for name in names]
    quantiles = [_quantile(taken, share) for share in (0.5, 0.99, 1.0)]
    return Table(title, columns, [[len(taken), *quantiles, answers.requests, answers.after, answers.admitted]])


def _answers_targets(answers: Answers) -> list[Target]:
    taken = [seconds * 1000 for seconds in answers.seconds]
    return [
        Target("revocation answered, p99 ms", Bound.AT_MOST, _MAX_P99, _quantile(taken, 0.99), ".0f"),
        Target("requests admitted after the answer", Bound.AT_MOST, 0, answers.admitted, ".0f"),
    ]
