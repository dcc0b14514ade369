from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from local.servers import Broker, Postgres
from runtime.settings import Endpoint, Settings
from tests.webhooks.proxy import Wire
from tests.webhooks.site import Site

pytest.register_assert_rewrite("tests.webhooks.contract")
_numbers = count(1)


@pytest.fixture(scope="package")
def settings(postgres: Postgres, template: str, broker_server: Broker) -> Settings:
    """One database for all these tests, each of which sends events of its own.

    It goes with the server: an app that has ended its test may still have counts to write down.
    """
    postgres.create("webhooks", template)
    endpoints = (
        Endpoint(name="stripe", processor="stripe", mode="test", secrets=("whsec_test", "whsec_old")),
        Endpoint(name="stripe-live", processor="stripe", mode="live", secrets=("whsec_live",)),
        Endpoint(name="counted", processor="stripe", mode="test", secrets=("whsec_test",)),
        Endpoint(
            name="square",
            processor="square",
            mode="test",
            secrets=("key",),
            options={"url": "https://gym.example/square"},
        ),
        Endpoint(name="standard", processor="standard_webhooks", mode="test", secrets=("whsec_MfKQ9r8GKYqrTwjUPD8I",)),
    )
    return Settings(database_url=postgres.url("webhooks"), broker_url=broker_server.url, endpoints=endpoints)


@pytest.fixture(scope="module")
def site(settings: Settings) -> Iterator[Site]:
    """One app for the tests of a file."""
    site = Site(settings)
    yield site
    site.close()


@pytest.fixture
def wire(settings: Settings, servers_folder: Path) -> Wire:
    """A wire to the database, which is up; it stays for what the app on it still has to write down."""
    folder = servers_folder / f"wire-{next(_numbers)}"
    folder.mkdir()
    wire = Wire(settings.database_url, folder)
    wire.up()
    return wire
