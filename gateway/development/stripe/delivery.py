"""Delivers events to the webhook endpoints, and retries with back-off until the response is 2xx.

Source: https://docs.stripe.com/webhooks: any 2xx is success, redirects are failures, every attempt has a new signature,
order is not guaranteed, and Stripe retries for up to three days. The delays here are shorter, for developers.
"""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import httpx
import structlog

from gateway.development.stripe.state import Record, State

_log = structlog.get_logger(__name__)


def sign(payload: bytes, secret: str, timestamp: int) -> str:
    """The ``Stripe-Signature`` field: HMAC-SHA-256 of ``<seconds>.<payload>`` under the endpoint's whole secret.

    Source: https://docs.stripe.com/webhooks#verify-manually.
    """
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + payload, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """Seconds before the first retry, at most between two attempts, and until a delivery is given up."""

    first: float = 1.0
    longest: float = 300.0
    give_up_after: float = 3 * 86400.0

    def delay(self, attempts: int) -> float:
        """Seconds to wait after that many failed attempts; they double."""
        return min(self.longest, self.first * 2.0 ** min(attempts - 1, 30))


class Deliverer:
    """One task that starts due deliveries; each attempt is a task, so that a slow endpoint delays no other."""

    def __init__(self, state: State, schedule: RetrySchedule, client: httpx.AsyncClient) -> None:
        self._state = state
        self._schedule = schedule
        self._client = client
        self._wake = asyncio.Event()
        self._attempts: dict[str, asyncio.Task[None]] = {}
        state.on_commit = self._wake.set

    async def run(self) -> None:
        """Deliver until cancelled. Pending deliveries are kept for the next start."""
        try:
            while True:
                self._wake.clear()
                pause = self._begin_due()
                await self._rest(pause)
        finally:
            for task in self._attempts.values():
                task.cancel()
            await asyncio.gather(*self._attempts.values(), return_exceptions=True)

    async def _rest(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    def _begin_due(self) -> float | None:
        """Start due deliveries. Returns the seconds until the next one; None without any."""
        now, soonest = self._state.now(), None
        for each in self._waiting():
            if each["due"] > now:
                soonest = min(each["due"], soonest or each["due"])
            else:
                task = asyncio.create_task(self._attempt(each))
                self._attempts[each["id"]] = task
                task.add_done_callback(partial(self._ended, each["id"]))
        return None if soonest is None else max(0.0, soonest - now)

    def _waiting(self) -> Iterable[Record]:
        with self._state.change() as change:
            found = list(change.newest_first("deliveries"))
        return [each for each in reversed(found) if each["id"] not in self._attempts]

    def _ended(self, delivery_id: str, _: asyncio.Task[None]) -> None:
        del self._attempts[delivery_id]
        self._wake.set()

    async def _attempt(self, delivery: Record) -> None:
        with self._state.change() as change:
            event = change.get("events", delivery["event"])
            endpoint = change.get("webhook_endpoints", delivery["endpoint"])
        if event is None or endpoint is None or endpoint["status"] != "enabled":
            self._discard(delivery)
            return
        delivered = False
        try:
            delivered = await self._send(event, endpoint)
        finally:  # after any error, the next attempt waits for its time
            self._settle(delivery, delivered=delivered)

    def _settle(self, delivery: Record, *, delivered: bool) -> None:
        if delivered:
            self._succeed(delivery)
        else:
            self._postpone(delivery)

    async def _send(self, event: Record, endpoint: Record) -> bool:
        payload = json.dumps(event, indent=2).encode()
        signature = sign(payload, endpoint["secret"], int(self._state.now()))
        headers = {"Content-Type": "application/json; charset=utf-8", "Stripe-Signature": signature}
        try:
            response = await self._client.post(endpoint["url"], content=payload, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            _log.info("webhook_failed", event_id=event["id"], url=endpoint["url"], error=type(error).__name__)
            return False
        if not response.is_success:
            _log.info("webhook_rejected", event_id=event["id"], url=endpoint["url"], status=response.status_code)
        return response.is_success

    def _succeed(self, delivery: Record) -> None:
        with self._state.change() as change:
            change.remove("deliveries", delivery["id"])
            event = change.get("events", delivery["event"])
            if event is not None:
                change.put("events", event | {"pending_webhooks": max(0, event["pending_webhooks"] - 1)})

    def _postpone(self, delivery: Record) -> None:
        attempts = delivery["attempts"] + 1
        due = self._state.now() + self._schedule.delay(attempts)
        if due > delivery["first"] + self._schedule.give_up_after:
            self._discard(delivery)
            return
        with self._state.change() as change:
            change.put("deliveries", delivery | {"attempts": attempts, "due": due})

    def _discard(self, delivery: Record) -> None:
        with self._state.change() as change:
            change.remove("deliveries", delivery["id"])
