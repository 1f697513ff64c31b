"""A ``limits`` storage over leased tokens, registered under its URI schemes."""

import asyncio
from copy import copy
from secrets import randbits
from time import monotonic, time

import structlog
from limits.storage import Storage
from redis.exceptions import RedisError

from gateway.throttle.account import Account
from gateway.throttle.concurrency import ConcurrencyPermits
from gateway.throttle.copies import Copies
from gateway.throttle.lease_manager import LeaseManager
from gateway.throttle.local_share import Counters, LocalShare, detached_counters
from gateway.throttle.settings import ThrottleSettings
from gateway.throttle.windows import WindowSet

_PREFIX = "leased+"
_MEMORY = "leased+memory://"
_SWEEP_INTERVAL = 10.0  # seconds
_OVERLAP = 10.0  # seconds from a worker's start to the last request that its predecessor admits
_SWEEP_STEP = 200  # accounts checked between two turns of the event loop

_log = structlog.get_logger("tenantry.throttle")


def storage_uri(settings: ThrottleSettings) -> str:
    """The URI under which ``limits`` finds this storage: that of Redis with a prefix."""
    return _PREFIX + settings.redis_url if settings.redis_url else _MEMORY


class LeasedStorage(Storage):
    """Counters that spend tokens leased from Redis: ``incr`` does no I/O.

    A key names an account, which covers all windows that a request is charged to: ``incr`` charges every window or
    none, and returns how much of the smallest quota is used, or more than that quota when it refuses.
    """

    STORAGE_SCHEME: list[str] | None = [  # noqa: RUF012 - the library's registry reads it from the class
        "leased+redis",
        "leased+rediss",
        "leased+unix",
        "leased+memory",
    ]

    def __init__(self, uri: str, wrap_exceptions: bool = False, **options: float | str | bool) -> None:  # noqa: FBT001, FBT002 - the library's own signature
        super().__init__(uri, wrap_exceptions=wrap_exceptions)
        self.settings = ThrottleSettings(
            redis_url=None if uri == _MEMORY else uri.removeprefix(_PREFIX),
            workers=int(options["workers"]),
            deadline_seconds=float(options["deadline_seconds"]),
            connections=int(options["connections"]),
            takes_over=bool(int(options["takes_over"])),
        )
        self.manager = LeaseManager(self.settings)
        self._breaker = self.manager.breaker
        self._accounts: dict[str, Account] = {}
        self._counters: dict[str, Counters] = {}  # of local shares, by owner
        self._permits: dict[str, ConcurrencyPermits] = {}  # by tenant
        self._sweeper: asyncio.Task[None] | None = None
        # Replacement worker: without Redis, assume that the predecessor's share is spent. It may still serve for a
        # moment. Where Redis responds, it knows what was used.
        self._predecessor_ends = monotonic() + _OVERLAP if self.settings.takes_over else None

    def rehearsal(self) -> "LeasedStorage":
        """A storage that decides as this one does, on copies of what it has, and changes nothing."""
        other = copy(self)
        other.detach()
        return other

    def detach(self) -> None:
        """Work on copies of what this storage shares with the one that it is a copy of."""
        self.manager = self.manager.rehearsal()
        self._breaker = self.manager.breaker
        self._accounts = Copies(self._accounts, Account.rehearsal)
        self._permits = Copies(self._permits, ConcurrencyPermits.rehearsal)
        self._counters = Copies(self._counters, detached_counters)

    def __len__(self) -> int:
        """Number of accounts."""
        return len(self._accounts)

    @property
    def accounts(self) -> tuple[Account, ...]:
        """All accounts; of a rehearsal, those that were asked for."""
        return tuple(self._accounts.values())

    # -- accounts and permits

    def find(self, name: str) -> Account | None:
        """The account of that name, if this worker has one."""
        return self._accounts.get(name)

    def open_account(self, name: str, owner: str, windows: WindowSet) -> Account:
        """Create an account, in place of one under other windows. Usage under other plans still counts.

        ``owner`` names whose requests are counted: a tenant's hexadecimal id, or a source.
        """
        self.clear(name)
        share = LocalShare(windows, self.settings.workers, self._counters.setdefault(owner, {}))
        if self._predecessor_ends is not None:
            share.carry_over(tuple(limit.quota for limit in windows.limits), self._predecessor_ends)
        keys = tuple(_redis_key(owner, counter) for counter in windows.counters)
        account = Account(
            name, owner, keys=keys, windows=windows, share=share, worker_id=randbits(31), stats=self.manager.stats
        )
        if self.settings.redis_url is None:
            account.max_cost = windows.quota // self.settings.workers  # only the share is ever available
        self._accounts[name] = account
        return account

    def permits(self, tenant: str, limit: int | None) -> ConcurrencyPermits | None:
        """The permits of the tenant (hexadecimal id) under this limit over all workers; None without a limit."""
        if limit is None:
            return None
        permits = self._permits.get(tenant)
        if permits is None:
            name, keys = f"{tenant}:concurrency", (_redis_key(tenant, "concurrency"),)
            permits = ConcurrencyPermits(name, keys, workers=self.settings.workers, worker_id=randbits(31))
            self._permits[tenant] = permits
        permits.set_limit(limit)
        return permits

    def has_permit(self, permits: ConcurrencyPermits, now: float) -> bool:
        """One more request may be in flight."""
        if self._breaker.open:
            return permits.used < permits.allowed(now)
        if self._breaker.recovering and permits.used >= permits.share:
            return False
        return permits.available(now)

    def acquire(self, permits: ConcurrencyPermits, now: float) -> None:
        """A request begins."""
        permits.acquire()
        if self._breaker.open:
            self.manager.report_when_back(permits)
        elif permits.held - permits.used < permits.refill_below:
            self.manager.prefetch(permits, now)

    def release(self, permits: ConcurrencyPermits, now: float, seconds: float) -> None:
        """A request that took ``seconds`` completes."""
        if permits.release(now, seconds):
            self.manager.schedule_report(permits)

    def spend(self, account: Account, now: float, cost: int) -> bool:
        """Spend tokens of every window or of none. ``limits`` wraps ``incr``, which costs a warm request 2 µs more."""
        leases, breaker = account.leases, self._breaker
        if breaker.recovering and not (account.available(now, cost) and account.share.spend_granted(now, cost)):
            return False
        if leases.spend(now, cost):
            if leases.tokens <= account.refill_below:
                self.manager.prefetch(account, now)
            return True
        if breaker.open and account.share.spend(now, cost):
            self.manager.report_when_back(account)
            return True
        return False

    # -- the worker's life

    async def start(self) -> None:
        """Connect to Redis, and begin to forget idle accounts. Warns when each process enforces limits alone."""
        if self.settings.redis_url is None:
            _log.warning(
                "throttle_in_process",
                reason="no Redis is configured",
                effect="each worker enforces its share of the limits",
                workers=self.settings.workers,
            )
        await self.manager.start()
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep_regularly())

    async def stop(self) -> None:
        """End every task and connection."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.wait([self._sweeper])
        await self.manager.stop()

    async def sweep(self) -> None:
        """Forget accounts that no request has used since the last sweep, and that hold nothing."""
        for number, (name, account) in enumerate(list(self._accounts.items())):
            if number % _SWEEP_STEP == 0:
                await asyncio.sleep(0)
            if account.recently_used:
                account.recently_used = False
            elif account.is_idle(monotonic()):
                await self._forget(name, account)
        used = {account.owner for account in self._accounts.values()}
        self._counters = {owner: counters for owner, counters in self._counters.items() if owner in used}
        self._permits = {
            tenant: permits for tenant, permits in self._permits.items() if tenant in used or not permits.is_idle()
        }

    async def _sweep_regularly(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_INTERVAL)
            await self.sweep()

    async def _forget(self, name: str, account: Account) -> None:
        await self.manager.settle(account)
        unused = not account.recently_used and account.is_idle(monotonic())  # meanwhile
        if unused and self._accounts.get(name) is account:
            self.clear(name)

    # -- the interface of ``limits``

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        return RedisError

    def incr(self, key: str, expiry: int, amount: int = 1, *, now: float | None = None) -> int:  # noqa: ARG002 - an account knows its windows
        """Spend ``amount`` tokens of every window or of none; does not wait. Returns usage as ``get`` does.

        Returns more than the account's quota when too few tokens are available. ``now`` is the moment to spend at.
        """
        account = self._accounts[key]
        spent = self.spend(account, monotonic() if now is None else now, amount)
        return account.used() if spent else account.quota + amount

    def get(self, key: str) -> int:
        """How much of the smallest quota is used, as far as this worker knows."""
        account = self._accounts.get(key)
        return account.used() if account else 0

    def get_expiry(self, key: str) -> float:
        """When tokens can be had, seconds since the epoch."""
        account = self._accounts.get(key)
        return time() + (account.wait(monotonic()) if account else 0.0)

    def check(self) -> bool:
        """Redis is reachable: limits are enforced over all workers."""
        return self.manager.uses_redis

    def reset(self) -> int:
        """Return all leased tokens and forget every account. Usage counted in Redis expires by itself."""
        names = list(self._accounts)
        for name in names:
            self.clear(name)
        return len(names)

    def clear(self, key: str) -> None:
        """Return the tokens of one account and forget it."""
        account = self._accounts.pop(key, None)
        if account is not None:
            self.manager.return_tokens(account)
            account.share.close(monotonic())


def _redis_key(owner: str, counter: str) -> str:
    """One hash tag for all keys of an owner, so that Redis Cluster stores them together."""
    return f"tenantry:throttle:{{{owner}}}:{counter}" if counter else f"tenantry:throttle:{{{owner}}}"
