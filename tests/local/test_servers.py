import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
import redis
from sqlalchemy import make_url

from local import shared
from local.postgres import SOCKET_PATH_BYTES
from local.processes import runs, wait_gone
from local.servers import Broker, NoEmbeddedServers, Postgres, ServerFailed

OTHER_USER = """
import sys
from pathlib import Path
from local.servers import Broker, Postgres
with Postgres(Path(sys.argv[1])) as postgres, Broker(Path(sys.argv[1])) as broker:
    print(postgres.process().pid, broker.process().pid, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder; whatever a failed test left running there is ended."""
    with TemporaryDirectory(prefix="spp-") as parent:
        data = Path(parent, "data")
        servers = Postgres(data), Broker(data)
        yield data
        for server in servers:
            server.kill()


def connect(server: Postgres, database: str = "postgres") -> psycopg.Connection:
    url = make_url(server.url(database))
    return psycopg.connect(host=url.query["host"], user=url.username, dbname=database, autocommit=True)


def other_process(folder: Path, **options: bool) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", OTHER_USER, folder],
        cwd=Path(shared.__file__).parent.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        stderr=subprocess.DEVNULL,
        **options,
    )


def test_postgres_keeps_its_data_and_url_through_a_crash(folder):
    with Postgres(folder, max_connections="37") as server:
        url = server.url()
        with connect(server) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
            server.kill()
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
        assert server.process() is None
        server.start()
        assert server.url() == url
        with connect(server) as connection:
            assert connection.execute("SELECT one FROM kept").fetchone() == (1,)
            assert connection.execute("SHOW max_connections").fetchone() == ("37",)


def test_postgres_starts_again_where_only_its_main_process_was_killed(folder):
    with Postgres(folder) as server, connect(server) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
        backends = server.process().children()
        for backend in backends:
            backend.suspend()  # so that they outlive it for certain
        postmaster = server.process()
        postmaster.kill()
        assert wait_gone([postmaster], timeout_s=60)
        server.start()
        assert not [backend for backend in backends if runs(backend)]
        with connect(server) as again:
            assert again.execute("SELECT one FROM kept").fetchone() == (1,)


def test_postgres_is_durable(folder):
    with Postgres(folder) as server, connect(server) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert connection.execute(f"SHOW {setting}").fetchone() == ("on",)


def test_databases_are_copied_and_dropped_under_their_users(folder):
    with Postgres(folder) as server:
        server.create("first")
        with connect(server, "first") as connection:
            connection.execute("CREATE TABLE copied AS SELECT 2 AS two")
        server.create("second", template="first")
        with connect(server, "second") as connection:
            assert connection.execute("SELECT two FROM copied").fetchone() == (2,)
            server.drop("second")
            server.drop("never made")
        with pytest.raises(psycopg.OperationalError):
            connect(server, "second")


def test_a_folder_too_deep_for_a_socket(folder):
    deep = folder.parent / ("d" * SOCKET_PATH_BYTES)
    with Postgres(deep) as server, connect(server) as connection:
        sockets = Path(str(make_url(server.url()).query["host"]))
        assert connection.execute("SELECT 1").fetchone() == (1,)
        assert sockets.stat().st_mode & 0o777 == 0o700
    assert not sockets.exists()


def test_an_interrupted_initdb_is_begun_again(folder):
    (folder / "pgdata.new").mkdir(parents=True)
    (folder / "pgdata.new" / "PG_VERSION").write_text("18\n")
    with Postgres(folder) as server, connect(server) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_setting_that_does_not_exist_is_named(folder):
    with pytest.raises(ServerFailed, match="no_such_setting"):
        Postgres(folder, no_such_setting="1").start()


@pytest.mark.parametrize("kind", [Postgres, Broker])
def test_the_last_user_stops_the_server(folder, kind):
    first, second = kind(folder), kind(folder)
    first.start()
    second.start()
    pid = first.process().pid
    assert second.process().pid == pid
    second.stop()
    assert first.process().pid == pid
    second.start()
    first.stop()
    assert second.process().pid == pid
    second.stop()
    assert second.process() is None


def test_what_a_killed_user_left_running_is_taken_over(folder):
    with other_process(folder) as other:
        pids = other.stdout.readline().split()
        other.kill()
    with Postgres(folder) as postgres, Broker(folder) as broker:
        assert [str(postgres.process().pid), str(broker.process().pid)] == pids
        with redis.Redis.from_url(broker.url) as client:
            assert client.ping()
    assert postgres.process() is None
    assert broker.process() is None


def test_ctrl_c_reaches_the_user_and_not_the_servers(folder):
    with other_process(folder, start_new_session=True) as other:
        pids = [int(pid) for pid in other.stdout.readline().split()]
        assert other.pid not in {os.getpgid(pid) for pid in pids}
        os.killpg(other.pid, signal.SIGINT)
        other.wait()
    assert Postgres(folder).process() is None
    assert Broker(folder).process() is None
    assert not [file.name for file in folder.glob("valkey.*") if file.suffix not in (".lock", ".users")]


def test_the_broker_comes_back_on_its_url_and_forgets(folder):
    with Broker(folder) as broker:
        url = broker.url
        with redis.Redis.from_url(url) as client:
            client.set("ring", "1")
            assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
            broker.kill()
            with pytest.raises(redis.ConnectionError):
                client.ping()
            broker.start()
            assert broker.url == url
            assert client.get("ring") is None


def test_the_broker_asks_for_its_password(folder):
    with Broker(folder) as broker:
        stranger = redis.Redis(port=make_url(broker.url).port, retry=None)
        with stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()


def test_a_paused_broker_hangs_until_it_is_resumed(folder):
    with Broker(folder) as broker, redis.Redis.from_url(broker.url, socket_timeout=0.1, retry=None) as client:
        broker.pause()
        with pytest.raises(redis.TimeoutError):
            client.ping()
        broker.resume()
        with redis.Redis.from_url(broker.url) as patient:
            assert patient.ping()
        broker.pause()
    assert broker.process() is None


def test_a_platform_without_the_wheels_is_told_what_to_set(monkeypatch, folder):
    monkeypatch.setattr(shared, "find_spec", lambda name: None)
    for kind in (Postgres, Broker):
        with pytest.raises(NoEmbeddedServers, match="DATABASE_URL and BROKER_URL"):
            kind(folder)
