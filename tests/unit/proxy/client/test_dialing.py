"""Which address a connection goes to, and whether the peer is who it should be."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.proxy.client.connection import UpstreamConnection
from gateway.proxy.client.dialing import Dialer
from gateway.proxy.client.errors import (
    ADDRESS_NOT_ADMITTED,
    CERTIFICATE,
    REFUSED,
    TLS,
    TLS_FILES,
    UNKNOWN_NAME,
    ConnectFailed,
    ConnectionLost,
    ConnectTimedOut,
)
from gateway.proxy.client.names import Names
from tenants.outbound.addresses import AddressFilter
from tenants.routes.schemas import TlsSpec
from tests.fixtures.dns import DnsServer, dns_server
from tests.fixtures.pools import Outcome, begin, exchange, pool_to, until
from tests.fixtures.upstreams import (
    Authority,
    CertificateFiles,
    Script,
    UpstreamSide,
    always,
    answer,
    scripted_upstream,
    server_context,
)

pytestmark = pytest.mark.anyio

NAME = "upstream.test"
OK = always(answer(b"ok"))


@pytest.fixture
async def dns() -> AsyncIterator[DnsServer]:
    async with dns_server() as server:
        yield server


@pytest.fixture
async def dialer(dns: DnsServer, tmp_path: Path) -> AsyncIterator[Dialer]:
    """Asks the test's server, and admits 127.0.0.1 as the only public address."""
    host, _, port = dns.address.partition(":")
    names = Names([(host, int(port))], hosts_file=tmp_path / "hosts", least_seconds=0.05)
    dialer = Dialer(names, addresses=AddressFilter(["127.0.0.1/32"]))
    yield dialer
    await dialer.close()


def _reason(outcome: Outcome) -> str:
    assert isinstance(outcome.failure, ConnectFailed)
    return outcome.failure.reason


async def test_a_name_is_looked_up_once_in_its_time_to_live(dns: DnsServer, dialer: Dialer) -> None:
    """PX8: and by many connections at once together."""
    dns.addresses[NAME] = ["127.0.0.1"]
    async with scripted_upstream(OK) as upstream, pool_to(f"http://{NAME}:{upstream.port}", dialer) as pool:
        for connection in await asyncio.gather(*(pool.connect() for _ in range(20))):
            pool.release(connection)
        assert (await exchange(pool)).body == b"ok"
        assert dns.queries[NAME] == 2  # A and AAAA


async def test_connections_follow_a_name_that_moves(dns: DnsServer, dialer: Dialer) -> None:
    """PX8: idle connections to the old address end though no new one is needed, busy ones with their exchange."""
    dns.addresses[NAME], dns.seconds = ["127.0.0.1"], 0
    async with scripted_upstream(OK) as old, pool_to(f"http://{NAME}:{old.port}", dialer) as pool:
        idle, busy = await pool.connect(), await begin(pool)
        pool.release(idle)
        dns.addresses[NAME] = ["127.0.0.2"]
        await until(lambda: idle.closed)
        assert (await busy.head()).body == b"ok"
        pool.release(busy)
        assert (pool.idle, pool.size) == (0, 0)
        assert _reason(await exchange(pool)) == REFUSED  # nothing listens at the new one


async def test_connections_stay_while_name_servers_fail(dns: DnsServer, dialer: Dialer) -> None:
    """PX8: what was known is used on (RFC 8767)."""
    dns.addresses[NAME], dns.seconds = ["127.0.0.1"], 0
    async with scripted_upstream(OK) as upstream, pool_to(f"http://{NAME}:{upstream.port}", dialer) as pool:
        await exchange(pool)
        dns.fails = True
        queries = dns.queries[NAME]
        await until(lambda: dns.queries[NAME] > queries)
        assert (await exchange(pool)).body == b"ok"
        assert (await pool.connect()).address == "127.0.0.1"


async def test_all_addresses_are_tried(dns: DnsServer, dialer: Dialer) -> None:
    """PX10: in turn, so that all of them get connections."""
    dns.addresses[NAME] = ["127.0.0.9", "127.0.0.8", "::1", "127.0.0.1"]
    async with scripted_upstream(OK) as upstream, pool_to(f"http://{NAME}:{upstream.port}", dialer) as pool:
        assert {(await pool.connect()).address for _ in range(4)} == {"127.0.0.1"}
        dns.addresses["both.test"] = ["127.0.0.2", "127.0.0.1"]
        async with (
            scripted_upstream(OK, host="0.0.0.0") as both,  # noqa: S104 - all of loopback
            pool_to(f"http://both.test:{both.port}", dialer) as other,
        ):
            assert {(await other.connect()).address for _ in range(2)} == {"127.0.0.1", "127.0.0.2"}
        dns.addresses["none.test"] = ["127.0.0.9", "127.0.0.8"]
        async with pool_to(f"http://none.test:{upstream.port}", dialer) as none:
            assert _reason(await exchange(none)) == REFUSED


async def test_an_address_that_does_not_answer_delays_the_next_one_little(dns: DnsServer, dialer: Dialer) -> None:
    """PX8: RFC 8305. The attempt that is late is dropped."""
    dropped = asyncio.Event()

    class Partitioned(Dialer):
        async def attempt(self, address: str, *args: Any) -> UpstreamConnection:
            if address == "127.0.0.1":
                return await super().attempt(address, *args)
            try:
                await asyncio.sleep(60)
            finally:
                dropped.set()
            raise ConnectFailed(REFUSED)

    dns.addresses[NAME] = ["127.0.0.2", "127.0.0.1"]
    partitioned = Partitioned(dialer._names)
    async with scripted_upstream(OK) as upstream, pool_to(f"http://{NAME}:{upstream.port}", partitioned) as pool:
        for _ in range(2):
            assert (await pool.connect()).address == "127.0.0.1"
        assert dropped.is_set()


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.2"], ["127.0.0.1", "127.0.0.2"], ["::1"], ["10.0.0.1"], ["169.254.169.254"], ["127.0.0.1", "::1"]],
    ids=str,
)
async def test_a_name_with_a_private_address_is_refused(dns: DnsServer, dialer: Dialer, addresses: list[str]) -> None:
    """PX1: one of several is enough."""
    dns.addresses[NAME] = addresses
    async with (
        scripted_upstream(OK) as upstream,
        pool_to(f"http://{NAME}:{upstream.port}", dialer, public_only=True) as pool,
    ):
        assert _reason(await exchange(pool)) == ADDRESS_NOT_ADMITTED
        assert not upstream.connections


@pytest.mark.parametrize("host", ["127.0.0.2", "[::1]", "[::ffff:127.0.0.2]", "127.2", "0x7f000002"])
async def test_spellings_of_private_addresses_are_refused(dialer: Dialer, host: str) -> None:
    """PX1: spellings of an address are what the system makes of them."""
    async with pool_to(f"http://{host}:9", dialer, public_only=True) as pool:
        assert _reason(await exchange(pool)) == ADDRESS_NOT_ADMITTED


async def test_a_connection_goes_to_the_address_that_was_checked(dns: DnsServer, dialer: Dialer) -> None:
    """PX1: a name server that gives another address to each question (DNS rebinding) is asked once."""
    dns.addresses[NAME], dns.seconds = ["127.0.0.1"], 0
    rebound = asyncio.get_running_loop().create_future()

    class Rebinding(AddressFilter):
        def admits(self, address: object) -> bool:
            dns.addresses[NAME] = ["127.0.0.2"]
            if not rebound.done():
                rebound.set_result(None)
            return super().admits(address)  # type: ignore[arg-type]

    dialer._addresses = Rebinding(["127.0.0.1/32"])
    async with (
        scripted_upstream(OK) as good,
        scripted_upstream(OK, host="127.0.0.2", port=good.port) as private,
        pool_to(f"http://{NAME}:{good.port}", dialer, public_only=True) as pool,
    ):
        connection = await begin(pool)
        await rebound
        assert (connection.address, len(private.connections)) == ("127.0.0.1", 0)
        await connection.head()
        pool.release(connection)
        await until(lambda: pool.size == 0)  # the next look-up finds the private one
        assert _reason(await exchange(pool)) == ADDRESS_NOT_ADMITTED
        assert not private.connections


async def test_sources_of_names(dns: DnsServer, dialer: Dialer, tmp_path: Path) -> None:
    """PX1: a name of the hosts file is not asked of DNS; an unknown one is asked of the system, too."""
    dns.addresses["localhost"] = ["127.0.0.5"]
    (tmp_path / "hosts").write_text("127.0.0.1 vm localhost # vm2\n")
    async with scripted_upstream(OK) as upstream:
        async with pool_to(f"http://localhost:{upstream.port}", dialer) as pool:
            assert (await pool.connect()).address in {"127.0.0.1", "::1"}
        async with pool_to("http://unknown.invalid:1", dialer) as pool:
            assert _reason(await exchange(pool)) == UNKNOWN_NAME
    assert (dns.queries["localhost"], dns.queries["unknown.invalid"]) == (0, 2)


async def test_a_name_server_that_hangs_ends_at_the_connect_deadline(tmp_path: Path) -> None:
    """PX8."""
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(asyncio.DatagramProtocol, ("127.0.0.1", 0))
    names = Names([transport.get_extra_info("sockname")[:2]], hosts_file=tmp_path / "hosts")
    dialer = Dialer(names)
    async with pool_to(f"http://{NAME}", dialer, connect=0.1) as pool:
        assert isinstance((await exchange(pool)).failure, ConnectTimedOut)
    await dialer.close()
    transport.close()


# TLS.


async def _tls_exchange(
    files: CertificateFiles, tls: TlsSpec, script: Script = OK, clients_of: Path | None = None, host: str = "127.0.0.1"
) -> Outcome:
    async with (
        scripted_upstream(script, context=server_context(files, clients_of)) as upstream,
        pool_to(f"https://{host}:{upstream.port}", tls=tls) as pool,
    ):
        return await exchange(pool)


async def test_a_certificate_of_a_private_authority(tmp_path: Path) -> None:
    """PX1: verified for the name that was configured, by address or by ``server_name``."""
    authority = Authority(tmp_path)
    by_address, by_name = authority.issue("127.0.0.1"), authority.issue("inner.example")
    trusted = TlsSpec(ca_file=str(authority.file))
    assert (await _tls_exchange(by_address, trusted)).body == b"ok"
    assert (await _tls_exchange(by_name, trusted, host="localhost")).failure is not None
    named = trusted.model_copy(update={"server_name": "inner.example"})
    outcome = await _tls_exchange(by_name, named, host="localhost")
    assert (outcome.body, outcome.reusable) == (b"ok", True)


@pytest.mark.parametrize("fault", ["expired", "foreign", "self_signed", "other_name"])
async def test_a_certificate_that_does_not_verify(tmp_path: Path, fault: str) -> None:
    """PX1: nothing is sent; verification can be turned off."""
    authority, foreign = Authority(tmp_path), Authority(tmp_path, "foreign")
    if fault == "self_signed":
        files = foreign.own()
    elif fault == "foreign":
        files = foreign.issue("127.0.0.1")
    else:
        files = authority.issue("127.0.0.2") if fault == "other_name" else authority.issue("127.0.0.1", days=-1)
    assert _reason(await _tls_exchange(files, TlsSpec(ca_file=str(authority.file)))) == CERTIFICATE
    assert (await _tls_exchange(files, TlsSpec(verify=False))).body == b"ok"


async def test_authorities_of_the_system_are_the_default(tmp_path: Path) -> None:
    """PX1."""
    assert _reason(await _tls_exchange(Authority(tmp_path).issue("127.0.0.1"), TlsSpec())) == CERTIFICATE


async def test_a_client_certificate(tmp_path: Path) -> None:
    """PX1: an upstream that requires one does not answer without it."""
    authority = Authority(tmp_path)
    server, client = authority.issue("127.0.0.1"), authority.issue("gateway")
    without = TlsSpec(ca_file=str(authority.file))
    with_one = without.model_copy(update={"certificate_file": str(client.certificate), "key_file": str(client.key)})
    assert (await _tls_exchange(server, with_one, clients_of=authority.file)).body == b"ok"
    failure = (await _tls_exchange(server, without, clients_of=authority.file)).failure
    assert isinstance(failure, ConnectionLost | ConnectFailed)


async def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """PX1: and a file that was replaced is read again."""
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    files = authority.issue("127.0.0.1")
    used = tmp_path / "used.pem"
    async with (
        scripted_upstream(OK, context=server_context(files)) as upstream,
        pool_to(upstream.url, tls=TlsSpec(ca_file=str(used))) as pool,
    ):
        assert _reason(await exchange(pool)) == TLS_FILES
        used.write_text("no certificate")
        assert _reason(await exchange(pool)) == TLS_FILES
        used.write_bytes(other.file.read_bytes())
        assert _reason(await exchange(pool)) == CERTIFICATE
        used.write_bytes(authority.file.read_bytes())
        assert (await exchange(pool)).body == b"ok"


async def test_an_upstream_that_does_not_speak_tls() -> None:
    """PX1."""
    async with scripted_upstream(_greets) as upstream, pool_to(upstream.url.replace("http:", "https:")) as pool:
        assert _reason(await exchange(pool)) == TLS


async def _greets(side: UpstreamSide) -> None:
    side.send(b"220 mail.example ESMTP\r\n")
    await side.read()


@pytest.mark.parametrize("ends", ["close_notify", "fin"])
async def test_a_body_without_length_needs_close_notify(tmp_path: Path, ends: str) -> None:
    """PX9: over TLS a cut connection does not look like an end (RFC 8446 section 6.1)."""

    async def script(side: UpstreamSide) -> None:
        await side.request()
        side.send(b"HTTP/1.1 200 OK\r\n\r\nabc")
        await asyncio.sleep(0.05)
        if ends == "fin":
            side.cut()

    authority = Authority(tmp_path)
    outcome = await _tls_exchange(authority.issue("127.0.0.1"), TlsSpec(ca_file=str(authority.file)), script)
    assert outcome.body == b"abc"
    assert isinstance(outcome.failure, ConnectionLost) is (ends == "fin")
