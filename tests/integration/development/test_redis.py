"""The local Redis: start, stop, crash."""

import socket
import stat
from pathlib import Path

import pytest
import redis

from gateway.development.redis import LocalRedis
from gateway.development.servers import ServerFailed
from tests.fixtures.servers import RedisFactory


def client(server: LocalRedis) -> redis.Redis:
    return redis.Redis.from_url(server.url, socket_timeout=1, socket_connect_timeout=1)


def test_a_restart_keeps_data_port_and_password(start_redis: RedisFactory) -> None:
    server = start_redis()
    url = server.url
    with client(server) as connection:
        connection.set("kept", "42")
    server.stop()
    assert not server.running
    server.start()
    assert server.url == url
    with client(server) as connection:
        assert connection.get("kept") == b"42"


def test_after_sigkill_it_starts_on_the_same_port(start_redis: RedisFactory) -> None:
    server = start_redis()
    url = server.url
    server.kill()
    with client(server) as connection, pytest.raises(redis.ConnectionError):
        connection.ping()
    server.start()
    assert server.url == url
    with client(server) as connection:
        assert connection.ping()


def test_while_paused_it_does_not_answer(start_redis: RedisFactory) -> None:
    server = start_redis()
    with client(server) as connection:
        connection.ping()
        server.pause()
        with pytest.raises(redis.TimeoutError):
            connection.ping()
        server.resume()
        assert connection.ping()


def test_it_requires_its_password_which_is_on_no_command_line(redis_server: LocalRedis) -> None:
    with socket.create_connection((redis_server.host, redis_server.port), timeout=1) as stranger:
        stranger.sendall(b"PING\r\n")
        assert stranger.recv(7) == b"-NOAUTH"
    password = redis_server.folder / "password"
    assert stat.S_IMODE(password.stat().st_mode) == 0o600
    command_line = Path(f"/proc/{redis_server.process_id}/cmdline").read_text()
    assert password.read_text() not in command_line


def test_lua_and_publish_work_as_in_redis(redis_server: LocalRedis) -> None:
    with client(redis_server) as connection:
        assert connection.eval("return redis.call('INCRBY', KEYS[1], ARGV[1])", 1, "parts:counter", 5) == 5
        connection.delete("parts:counter")


def test_a_requested_port_that_is_in_use_is_a_clear_error(own_folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = LocalRedis(own_folder / "redis", port=taken.getsockname()[1])
        with pytest.raises(ServerFailed, match="Address already in use"):
            server.start()
    assert not server.running


def test_a_folder_in_use_is_refused(own_folder: Path) -> None:
    first = LocalRedis(own_folder / "redis")
    first.start()
    with pytest.raises(ServerFailed, match="in use by process"):
        LocalRedis(own_folder / "redis").start()
    assert first.running
    first.stop()
