"""A gym in the test's own database, its crediting, and stacks of real processes on a module's own database."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine

from local import endpoints, sample_gym
from local.home import ROLES
from local.servers import Broker, Postgres
from local.stack import Stack
from models.database.engine import make_engine, sessions
from runtime.settings import DatabaseRole, Settings
from tests.database_roles import as_role
from tests.worker.every_processor import Gym
from tests.worker.scene import NOW, SECRET, Make
from webhooks.processors import adapters
from worker.crediting import Crediting


def open_gym(engine: Engine) -> Make:
    make = sessions(engine)
    with make.begin() as session:
        sample_gym.make(session)
    return make


@pytest.fixture
def make(engine: Engine) -> Make:
    return open_gym(engine)


@pytest.fixture
def crediting(settings: Settings, make: Make) -> Iterator[Crediting]:
    engine = make_engine(as_role(settings.database_url, DatabaseRole.WORKER))
    yield Crediting(settings, sessions(engine), lambda: NOW)
    engine.dispose()


@pytest.fixture(scope="module")
def module_database(request: pytest.FixtureRequest, postgres: Postgres, template: str) -> Iterator[str]:
    """A migrated database of the module's own; its URL."""
    name = request.module.__name__.rpartition(".")[2]
    postgres.create(name, template)
    yield postgres.url(name)
    postgres.drop(name)


@pytest.fixture(scope="module")
def module_make(module_database: str) -> Iterator[Make]:
    engine = make_engine(module_database)
    yield open_gym(engine)
    engine.dispose()


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker that the module may wipe, freeze and kill."""
    with Broker(tmp_path_factory.mktemp("broker")) as server:
        yield server


def environment(database_url: str, broker_url: str, **changed: str) -> dict[str, str]:
    """What our processes are started with; `changed` are variables."""
    ours = {
        "DATABASE_URL": database_url,
        "SPP_DATABASE_ROLES": ROLES,
        "BROKER_URL": broker_url,
        "SPP_ENDPOINTS": "stripe=stripe:test",
        "SPP_SECRET_STRIPE": SECRET.decode(),
    }
    return {**os.environ, **ours, **changed}


Running = Callable[..., AbstractContextManager[Stack]]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Running:
    """`with running(database URL, broker URL, "web", ..., SPP_...="..."): ...` runs these of our processes, or all."""

    @contextmanager
    def run(database_url: str, broker_url: str, *names: str, **changed: str) -> Iterator[Stack]:
        logs: Path = tmp_path_factory.mktemp("logs")
        stack = Stack(environment(database_url, broker_url, **changed), logs)
        try:
            stack.start(*names)
            stack.wait_ready()
            yield stack
        finally:
            stack.stop()

    return run


@pytest.fixture(scope="module")
def gym(
    module_database: str, module_make: Make, broker_server: Broker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gym]:
    folder = tmp_path_factory.mktemp("local")
    with endpoints.provided(folder, run=True) as provided:
        settings = Settings(
            database_url=module_database,
            broker_url=broker_server.url,
            endpoints=provided["SPP_ENDPOINTS"],
            secrets_dir=Path(provided["SPP_SECRETS_DIR"]),
        ).with_secrets()
        processors = {adapter.endpoint.processor: adapter for adapter in adapters(settings.endpoints).values()}
        yield Gym(settings, module_make, processors, folder)
