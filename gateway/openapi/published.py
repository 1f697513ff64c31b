"""The documents as they are sent: each made once for a process, on its first request."""

import asyncio
import hashlib
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from gateway.openapi.document import Describer
from gateway.openapi.editions import EDITIONS, Edition


@dataclass(frozen=True, slots=True)
class Published:
    """A document in bytes, and a fingerprint of them."""

    body: bytes
    fingerprint: bytes


class Documents:
    """The documents of one application, in ``app.state.documents``."""

    def __init__(self, describer: Describer) -> None:
        self._describer = describer
        self._made: dict[Edition, Published] = {}
        self._making = {edition: asyncio.Lock() for edition in EDITIONS}

    def describe(self, edition: Edition) -> dict[str, Any]:
        """The document itself, made again at each call."""
        return self._describer.describe(edition)

    async def read(self, edition: Edition) -> Published:
        """The document of an edition. Concurrent first requests wait for one of them to make it."""
        if edition not in self._made:
            async with self._making[edition]:
                if edition not in self._made:
                    self._made[edition] = await run_in_threadpool(self._publish, edition)
        return self._made[edition]

    def _publish(self, edition: Edition) -> Published:
        body = orjson.dumps(self.describe(edition))
        return Published(body, hashlib.blake2b(body, digest_size=8).digest())


def documents_of(request: Request) -> Documents:
    """The documents of the application that answers this request."""
    documents: Documents = request.app.state.documents
    return documents
