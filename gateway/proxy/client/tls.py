"""TLS contexts of upstreams: verified by default, built once for each configuration."""

import asyncio
import ssl
from pathlib import Path

from gateway.proxy.client.errors import TLS_FILES, ConnectFailed
from tenants.routes.schemas import TlsSpec


class TlsContexts:
    """Shared by a process. A context is built again when one of its files was replaced."""

    def __init__(self) -> None:
        self._contexts: dict[TlsSpec, tuple[tuple[int, ...], ssl.SSLContext]] = {}
        self._building = asyncio.Lock()  # many first connections at once need one context

    async def get(self, spec: TlsSpec) -> ssl.SSLContext:
        """The context. Raises ConnectFailed if a file cannot be read or has not what it should have."""
        key = spec.model_copy(update={"server_name": None})
        try:
            context = self._known(key)
            if context is None:
                async with self._building:
                    context = self._known(key) or await self._build(key)
        except (OSError, ValueError) as error:  # SSLError is an OSError
            raise ConnectFailed(TLS_FILES) from error
        return context

    def _known(self, key: TlsSpec) -> ssl.SSLContext | None:
        versions, context = self._contexts.get(key, (None, None))
        return context if versions == _versions(key) else None

    async def _build(self, key: TlsSpec) -> ssl.SSLContext:
        versions = _versions(key)
        context = await asyncio.to_thread(build_context, key)  # reads all authorities of the system: 20 ms
        self._contexts[key] = (versions, context)
        return context


def build_context(spec: TlsSpec) -> ssl.SSLContext:
    """Raises OSError, ssl.SSLError or ValueError for a file that is missing or is something else."""
    context = ssl.create_default_context(cafile=spec.ca_file)
    if not spec.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if spec.certificate_file is not None:
        context.load_cert_chain(spec.certificate_file, spec.key_file, password=_no_password)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _versions(spec: TlsSpec) -> tuple[int, ...]:
    """Times of the files' last change, in nanoseconds."""
    files = (spec.ca_file, spec.certificate_file, spec.key_file)
    return tuple(Path(each).stat().st_mtime_ns for each in files if each is not None)


def _no_password() -> str:
    """Instead of a question on the terminal."""
    raise ValueError("the key is encrypted")
