"""Settings of the throttle."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ThrottleSettings:
    """Where the counters are, and how long a request may wait for them."""

    redis_url: str | None = None  # redis://, rediss:// or unix://; None: each process enforces its share
    workers: int = 1  # worker processes over all hosts: without Redis each enforces this fraction of a limit
    deadline_seconds: float = 0.005  # without a reply of Redis, after which a request is decided without it (TH8)
    connections: int = 16  # to Redis, of one worker
    takes_over: bool = False  # this worker replaces another one, which may have spent its whole share
    management_quota: int = 1200  # a minute, of all keys of a tenant together, and as many of all its people
    principal_quota: int = 120  # a minute, of one principal: far less, so that one cannot use up the tenant's
    scim_quota: int = 1500  # a minute, of one principal that synchronises people

    def __post_init__(self) -> None:
        if self.workers < 1 or self.connections < 1 or self.deadline_seconds <= 0:
            raise ValueError("workers and connections must be at least 1, and deadline_seconds must be positive")
        if not 1 <= self.principal_quota <= self.management_quota:
            raise ValueError("principal_quota must be at least 1, and at most management_quota")
        if self.scim_quota < 1:
            raise ValueError("scim_quota must be at least 1")

    def quotas(self, *, is_scim: bool) -> tuple[int, int]:
        """Requests a minute of a tenant's keys together, and of one principal.

        Of SCIM twice as many: a key that is flooded leaves enough for the one that the provider uses.
        """
        return (2 * self.scim_quota, self.scim_quota) if is_scim else (self.management_quota, self.principal_quota)
