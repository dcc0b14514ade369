"""The sample gym with payments, for the tests of commands."""

import pytest

from local import sample_gym
from local.servers import Postgres
from models.database.engine import make_engine, sessions
from runtime.settings import Settings
from tests.console.conftest import Spp
from tests.worker.scene import Make, arrive, paid_now
from worker.crediting import Crediting


@pytest.fixture(scope="session")
def sampled(postgres: Postgres, template: str) -> str:
    """A database with the sample gym in it, to copy: making it takes longer than most tests."""
    postgres.create("sampled", template)
    engine = make_engine(postgres.url("sampled"))
    with sessions(engine).begin() as session:
        sample_gym.make(session)
    engine.dispose()
    return "sampled"


@pytest.fixture
def copied(request: pytest.FixtureRequest, template: str, sampled: str) -> str:
    """With the sample gym, for a test that asks for `gym`."""
    return sampled if "gym" in request.fixturenames else template


@pytest.fixture
def gym(spp: Spp) -> Spp:
    """The same, with the sample gym in the database, as `spp demo-data` makes it."""
    return spp


@pytest.fixture
def paid_ann(gym: Spp, settings: Settings, make: Make) -> Spp:
    """Ann has paid once: 8 group classes and 4 personal-training sessions."""
    arrive(make, paid_now("in_1", "sub_ann"))
    assert Crediting(settings, make).drain() == 1
    return gym


@pytest.fixture
def worked(gym: Spp, settings: Settings, make: Make) -> Spp:
    """Ann has paid; a zero-amount invoice was ignored, and other content under the first's id quarantined."""
    arrive(make, paid_now("in_1", "sub_ann"), paid_now("in_1", "sub_mallory"))
    arrive(make, paid_now("in_2", "sub_ben").replace(b'"amount_paid": 8900', b'"amount_paid": 0'))
    Crediting(settings, make).drain()
    return gym
