"""A ``limits`` storage over leased tokens, known to it by its URI scheme."""

import asyncio
from secrets import randbits
from time import monotonic, time

import structlog
from limits.storage import Storage
from redis.exceptions import RedisError

from gateway.throttle.account import Account
from gateway.throttle.refills import Refills
from gateway.throttle.settings import ThrottleSettings
from gateway.throttle.share import Counters, Share
from gateway.throttle.slots import Slots
from gateway.throttle.windows import KEYS_OWN, WindowSet
from tenants.principal import Principal

_PREFIX = "leased+"
_MEMORY = "leased+memory://"
_SWEEP_EVERY = 10.0  # seconds
_OVERLAP = 10.0  # seconds from a worker's start to the last request that its predecessor admits
_SWEEP_STEP = 200  # accounts looked at before other work gets its turn

_log = structlog.get_logger("tenantry.throttle")


def storage_uri(settings: ThrottleSettings) -> str:
    """The URI under which ``limits`` finds this storage: that of Redis behind a scheme of ours."""
    return _PREFIX + settings.redis_url if settings.redis_url else _MEMORY


class LeasedStorage(Storage):
    """Counters that spend tokens leased from Redis: ``incr`` does no I/O.

    A key names an account, which stands for all windows of a tenant (and of a key) at once: it is charged to every
    window or to none, and what ``incr`` returns is the use of the smallest quota, or more than that quota when refused.
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
        self.refills = Refills(self.settings)
        self._breaker = self.refills.breaker
        self._accounts: dict[str, Account] = {}
        self.find = self._accounts.get  # the account of that name, if this worker has one
        self._counters: dict[str, Counters] = {}  # of shares, by tenant
        self._slots: dict[str, Slots] = {}  # by tenant
        self._sweeper: asyncio.Task[None] | None = None
        # What a predecessor gave is not known: its whole share counts as spent until its windows are over. It may still
        # serve for a moment. Where Redis answers, it says what was used.
        self._predecessor_ends = monotonic() + _OVERLAP if self.settings.takes_over else None

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        return RedisError

    def __len__(self) -> int:
        """Accounts that this worker has."""
        return len(self._accounts)

    # -- accounts

    def open(self, name: str, principal: Principal, windows: WindowSet) -> Account:
        """An account under these windows, in place of one under others. What other plans have used still counts."""
        former = self._accounts.get(name)
        if former is not None:
            self.refills.give_back(former)
        tenant = principal.tenant.id.hex
        counters = self._counters.setdefault(tenant, {})
        share = Share(windows, self.settings.workers, counters, principal.id.hex)
        if self._predecessor_ends is not None:
            share.carry(tuple(limit.quota for limit in windows.limits), self._predecessor_ends)
        keys = _redis_keys(tenant, principal, windows)
        asker, figures = randbits(31), self.refills.figures
        account = Account(name, tenant, keys=keys, windows=windows, share=share, asker=asker, figures=figures)
        if self.settings.redis_url is None:
            account.dearest = windows.quota // self.settings.workers  # the share is all that there will ever be
        self._accounts[name] = account
        return account

    def slots(self, principal: Principal, limit: int | None) -> Slots | None:
        """The slots of the principal's tenant, so many over all workers; None when nothing limits them."""
        if limit is None:
            return None
        tenant = principal.tenant.id.hex
        slots = self._slots.get(tenant)
        if slots is None:
            keys = (f"{_redis_key(tenant)}:slots",)
            slots = Slots(f"{tenant}:slots", keys, workers=self.settings.workers, asker=randbits(31))
            self._slots[tenant] = slots
        slots.resize(limit)
        return slots

    # -- requests

    def has_room(self, slots: Slots, now: float) -> bool:
        """One request more may be in flight."""
        if self._breaker.open:
            return slots.used < slots.allowed(now)
        if self._breaker.settling and slots.used >= slots.share:
            return False
        return slots.at_hand(now)

    def enter(self, slots: Slots, now: float) -> None:
        """One request more is in flight."""
        slots.enter()
        if self._breaker.open:
            self.refills.owe(slots)
        elif slots.held - slots.used < slots.low:
            self.refills.ahead(slots, now)

    def leave(self, slots: Slots, now: float, seconds: float) -> None:
        """One request less, which was in flight for so long."""
        if slots.leave(now, seconds):
            self.refills.watch(slots)

    def spend(self, account: Account, now: float, cost: int) -> bool:
        """Spend ``cost`` tokens of all windows, or of none. Waits for nothing."""
        leases, breaker = account.leases, self._breaker
        if breaker.settling and not (account.at_hand(now, cost) and account.share.spend_told(now, cost)):
            return False
        if leases.spend(now, cost):
            if leases.tokens <= account.low:
                self.refills.ahead(account, now)
            return True
        if breaker.open and account.share.spend(now, cost):
            self.refills.owe(account)
            return True
        return False

    async def start(self) -> None:
        """Begin to forget idle accounts; say so when limits are counted in each process alone."""
        if self.settings.redis_url is None:
            _log.warning(
                "throttle_in_process",
                why="no Redis is configured",
                consequence=f"each of {self.settings.workers} worker(s) gives its part of every limit",
            )
        await self.refills.start()
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep_often())

    async def close(self) -> None:
        """Give back what was not spent, and end every task and connection."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.wait([self._sweeper])
        for account in self._accounts.values():
            if account.leases.tokens:
                self.refills.give_back(account)
        await self.refills.close()

    async def _sweep_often(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_EVERY)
            await self.sweep()

    async def sweep(self) -> None:
        """Forget accounts that no request has touched since the last sweep, and that hold nothing."""
        for number, (name, account) in enumerate(list(self._accounts.items())):
            if number % _SWEEP_STEP == 0:
                await asyncio.sleep(0)
            if account.touched:
                account.touched = False
            elif account.idle(monotonic()):
                await self._forget(name, account)
        used = {account.tenant for account in self._accounts.values()}
        self._counters = {tenant: counters for tenant, counters in self._counters.items() if tenant in used}
        self._slots = {tenant: slots for tenant, slots in self._slots.items() if tenant in used or not slots.idle()}

    async def _forget(self, name: str, account: Account) -> None:
        await self.refills.settle(account)
        unused = not account.touched and account.idle(monotonic())  # meanwhile
        if unused and self._accounts.get(name) is account:
            del self._accounts[name]

    # -- the library's interface

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:  # noqa: ARG002 - an account knows its windows
        """Spend ``amount`` tokens: what is used of the smallest quota, or more than that quota when there were none."""
        account = self._accounts[key]
        if self.spend(account, monotonic(), amount):
            return account.used()
        account.refused += amount
        return account.quota + amount

    def get(self, key: str) -> int:
        """What is used of the smallest quota, as far as this worker knows."""
        account = self._accounts.get(key)
        return account.used() if account else 0

    def get_expiry(self, key: str) -> float:
        """When more can be had, seconds since the epoch."""
        account = self._accounts.get(key)
        return time() + (account.wait(monotonic()) if account else 0.0)

    def check(self) -> bool:
        """Limits are counted over all workers."""
        return self.refills.answering

    def reset(self) -> int:
        """Forget what this worker holds; what Redis counts runs out by itself."""
        names = list(self._accounts)
        for name in names:
            self.clear(name)
        return len(names)

    def clear(self, key: str) -> None:
        """Forget one account."""
        account = self._accounts.pop(key, None)
        if account is not None:
            self.refills.give_back(account)


def _redis_keys(tenant: str, principal: Principal, windows: WindowSet) -> tuple[str, ...]:
    shared = _redis_key(tenant)
    return (shared, f"{shared}:{principal.id.hex}") if windows.scopes == KEYS_OWN else (shared,)


def _redis_key(tenant: str) -> str:
    """One hash tag for all states of a tenant, so that Redis Cluster keeps them in one slot."""
    return f"tenantry:throttle:{{{tenant}}}"
