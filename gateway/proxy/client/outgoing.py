"""The request's side of a connection: framing of its body, and waiting until the upstream takes it."""

import asyncio
from typing import Final

_LAST_CHUNK: Final = b"0\r\n\r\n"


class BodyLengthWrong(ValueError):
    """The body is longer or shorter than announced: the exchange must not go on."""


class Outgoing:
    """Writes to a transport. ``ended``: the request is complete. ``paused``: too much of it was not taken yet."""

    def __init__(self) -> None:
        self.ended = True
        self.paused = False
        self._left: int | None = None  # bytes of the body to come; None: it is chunked
        self._unsent = 0  # bytes in the transport at the last tick
        self._drained: asyncio.Future[None] | None = None

    def begin_body(self, length: int | None) -> None:
        """A body follows by ``write``, of ``length`` bytes or in chunks."""
        self.ended = False
        self._left = length

    def write(self, transport: asyncio.Transport, data: bytes) -> None:
        """Write a part of the body. Raises BodyLengthWrong."""
        if not data:
            return
        if self._left is None:
            transport.writelines((b"%x\r\n" % len(data), data, b"\r\n"))
            return
        self._left -= len(data)
        if self._left < 0:
            raise BodyLengthWrong("the body is longer than its length")
        transport.write(data)

    def end(self, transport: asyncio.Transport) -> None:
        """The body is complete. Raises BodyLengthWrong."""
        if self._left:
            raise BodyLengthWrong("the body is shorter than its length")
        if self._left is None:
            transport.write(_LAST_CHUNK)
        self.ended = True

    def pause(self) -> None:
        """The transport has too much."""
        self.paused = True
        self._unsent = 0

    def resume(self) -> None:
        """The transport has little left."""
        self.paused = False
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    def stop(self) -> None:
        """No more is sent."""
        self.ended = True
        self.resume()

    def progress(self, transport: asyncio.Transport) -> bool:
        """Whether the upstream has taken bytes since the last call."""
        before, self._unsent = self._unsent, transport.get_write_buffer_size()
        return self._unsent < before

    async def drain(self) -> None:
        """Wait for ``resume`` or ``stop``."""
        self._drained = asyncio.get_running_loop().create_future()
        await self._drained
