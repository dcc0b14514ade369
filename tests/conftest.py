"""Real servers for every test that wants one: started once, in a folder of this session's own."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path
from types import MethodType

import hypothesis
import pytest
from argon2 import PasswordHasher
from flask import Flask
from jinja2 import FileSystemBytecodeCache
from sqlalchemy import Engine
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.orm import Session
from sqlalchemy.util import LRUCache
from werkzeug.routing import Rule

from local.home import make_roles
from local.servers import Broker, Postgres
from models.database.engine import make_engine, sessions
from models.database.migrations import upgrade
from models.staff import accounts
from runtime.settings import Endpoint, Settings

TEMPLATE = "migrated"
MEMORY = Path("/dev/shm")
ROOM = 2 << 30
"""Bytes."""
_numbers = count(1)

# The same examples every time and no time limit, so that a red run is always the change's. To search for new examples:
# pytest --hypothesis-profile=search
hypothesis.settings.register_profile(
    "gate",
    deadline=None,
    derandomize=True,
    suppress_health_check=[
        hypothesis.HealthCheck.too_slow,
        hypothesis.HealthCheck.data_too_large,
        hypothesis.HealthCheck.function_scoped_fixture,
        hypothesis.HealthCheck.differing_executors,
    ],
)
hypothesis.settings.register_profile(
    "search", hypothesis.settings.get_profile("gate"), derandomize=False, print_blob=True
)
hypothesis.settings.load_profile("gate")


def pytest_configure(config: pytest.Config) -> None:
    # A TERM, like a Ctrl-C, still runs the fixtures' ends: no server outlives us.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Whoever runs us in the background may have us ignore it, and with us all that our tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in [*os.environ]:
        if name.startswith("SPP_") or name in ("DATABASE_URL", "BROKER_URL"):
            del os.environ[name]
    if not hasattr(config, "workerinput"):
        # What is killed leaves its temporary files behind: they go with the session.
        os.environ["TMPDIR"] = tempfile.tempdir = tempfile.mkdtemp(prefix="spp-")
        config.add_cleanup(partial(shutil.rmtree, tempfile.tempdir))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole processes first, where tests wait much; those that only compute last, so that none is left for the end."""
    first = ("tests/browser/", "tests/worker/", "tests/console/")
    items.sort(key=lambda item: next((n for n, name in enumerate(first) if name in item.nodeid), len(first)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    # Half of the time tests wait, for processes that start and servers that come back.
    return (os.cpu_count() or 1) * 2


@pytest.fixture(scope="session")
def servers_folder() -> Iterator[Path]:
    """In memory where there is enough of it: tests copy thousands of databases."""
    roomy = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM
    folder = Path(tempfile.mkdtemp(prefix="spp-", dir=MEMORY if roomy else None))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres(servers_folder: Path) -> Iterator[Postgres]:
    # Whoever kills a server brings one of their own; here nothing has to outlive the machine.
    with Postgres(servers_folder / "postgres", max_connections="200", fsync="off", max_wal_size="64MB") as server:
        yield server


@pytest.fixture(scope="session", autouse=True)
def compiled_templates(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Each test makes apps of its own, but their pages' templates are compiled once."""
    cache = FileSystemBytecodeCache(str(tmp_path_factory.mktemp("templates")))
    Flask.jinja_options = {"bytecode_cache": cache}


@pytest.fixture(scope="session", autouse=True)
def compiled_routes() -> Iterator[None]:
    """Each test makes apps of its own, but a route is compiled once: for all of an app that takes 0.1 s."""
    compiled: dict[tuple[object, ...], Rule] = {}
    compile_anew = Rule.compile

    def once(self: Rule) -> None:
        # All that it depends on.
        key = (self.rule, repr(self.defaults), self.subdomain, self.merge_slashes, *self.map.converters.values())
        if (same := compiled.setdefault(key, self)) is self:
            compile_anew(self)
            return
        for made in ("_parts", "_trace", "_converters"):
            setattr(self, made, getattr(same, made))
        self.arguments = same.arguments | self.arguments
        for built in ("_build", "_build_unknown"):
            setattr(self, built, MethodType(getattr(same, built).__func__, self))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rule, "compile", once)
        yield


@pytest.fixture(scope="session", autouse=True)
def compiled_statements() -> Iterator[None]:
    """Each test has an engine of its own, but all are of one server: a statement is compiled once for all of them."""
    compiled = LRUCache(5000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "_compiled_cache", property(lambda _: compiled, lambda *_: None), raising=False)
        # The cache's key has the engine's dialect in it.
        patch.setattr(PGDialect_psycopg, "__eq__", lambda self, other: type(self) is type(other))
        patch.setattr(PGDialect_psycopg, "__hash__", lambda self: hash(type(self)))
        yield


@pytest.fixture(scope="session", autouse=True)
def cheap_passwords() -> Iterator[None]:
    """Passwords hashed at little cost; `tests/models/staff` checks what a real one costs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accounts, "HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        yield


@pytest.fixture(scope="session")
def broker_server(servers_folder: Path) -> Iterator[Broker]:
    with Broker(servers_folder / "broker") as server:
        yield server


@pytest.fixture(scope="session")
def template(postgres: Postgres) -> str:
    """A database with the schema in it, to copy, in which the roles may do what they may."""
    postgres.create(TEMPLATE)
    upgrade(postgres.url(TEMPLATE))
    make_roles(postgres.url(TEMPLATE))
    return TEMPLATE


@pytest.fixture
def copied(template: str) -> str:
    """The database that a test's own one is a copy of."""
    return template


@pytest.fixture
def database_url(postgres: Postgres, copied: str) -> Iterator[str]:
    """A migrated database of the test's own."""
    name = f"test_{next(_numbers)}"
    postgres.create(name, copied)
    yield postgres.url(name)
    postgres.drop(name)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = make_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with sessions(engine)() as session:
        yield session


@pytest.fixture
def settings(database_url: str, broker_server: Broker) -> Settings:
    stripe = Endpoint(name="stripe", processor="stripe", mode="test", secrets=("whsec_test",))
    standard = Endpoint(
        name="standard",
        processor="standard_webhooks",
        mode="test",
        secrets=("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",),
    )
    return Settings(database_url=database_url, broker_url=broker_server.url, endpoints=(stripe, standard))
