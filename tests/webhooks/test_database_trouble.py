"""An answered 2xx survives; what is not on disk is answered 503 and can be sent again."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil
import pytest
from werkzeug.test import TestResponse

from local.servers import Postgres
from models.inbox.events import EventState
from runtime.settings import Settings
from tests.webhooks.proxy import Wire
from tests.webhooks.site import Site, eventually, new_event


@pytest.fixture
def site_on_a_wire(settings: Settings, wire: Wire) -> Iterator[Site]:
    """An app that has its connection already."""
    site = Site(settings.model_copy(update={"database_url": wire.url}))
    assert site.deliver(new_event()[1]).status_code == 200
    yield site
    site.close()


def assert_not_stored(answer: TestResponse) -> None:
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize("cut", ["before", "after"])
def test_connection_lost_at_commit(site_on_a_wire: Site, wire: Wire, cut: str) -> None:
    wire.cuts = [cut]
    event_id, body = new_event()
    assert site_on_a_wire.deliver(body).status_code == 200
    assert wire.done == [cut]
    (event,) = site_on_a_wire.events(event_id)
    assert bytes(event.body) == body
    assert event.state == EventState.PENDING
    assert site_on_a_wire.deliver(body).status_code == 200
    assert len(site_on_a_wire.events(event_id)) == 1


@pytest.mark.parametrize("cuts", [["after", "after"], ["before", "before"], ["after", "before"]])
def test_connection_lost_at_commit_and_again(site_on_a_wire: Site, wire: Wire, cuts: list[str]) -> None:
    wire.cuts = [*cuts]
    event_id, body = new_event()
    assert_not_stored(site_on_a_wire.deliver(body))
    assert wire.done == cuts
    assert len(site_on_a_wire.events(event_id)) == cuts.count("after") - (cuts == ["after", "after"])
    assert site_on_a_wire.deliver(body).status_code == 200
    (event,) = site_on_a_wire.events(event_id)
    assert bytes(event.body) == body


def test_many_at_once_while_connections_are_lost(site_on_a_wire: Site, wire: Wire) -> None:
    wire.cuts = ["after", "before"] * 3
    events = dict(new_event() for _ in range(60))
    statuses = site_on_a_wire.deliver_at_once(list(events.values()))
    assert set(statuses) <= {200, 503}
    for (event_id, body), status in zip(events.items(), statuses, strict=True):
        stored = [bytes(event.body) for event in site_on_a_wire.events(event_id)]
        assert stored == [body] or (status == 503 and not stored)
    wire.cuts = []
    assert site_on_a_wire.deliver_at_once(list(events.values())) == [200] * len(events)
    assert [len(site_on_a_wire.events(event_id)) for event_id in events] == [1] * len(events)


def test_database_away_and_back(site_on_a_wire: Site, wire: Wire) -> None:
    event_id, body = new_event()
    wire.down()
    assert_not_stored(site_on_a_wire.deliver(body))
    assert site_on_a_wire.app.test_client().get("/readyz").status_code == 503
    wire.up()
    assert site_on_a_wire.deliver(body).status_code == 200
    assert site_on_a_wire.app.test_client().get("/readyz").status_code == 200
    assert len(site_on_a_wire.events(event_id)) == 1


def test_database_away_from_the_start(settings: Settings, wire: Wire) -> None:
    wire.down()
    site = Site(settings.model_copy(update={"database_url": wire.url}))
    event_id, body = new_event()
    assert_not_stored(site.deliver(body))
    wire.up()
    assert site.deliver(body).status_code == 200
    assert len(site.events(event_id)) == 1
    site.close()


def test_refusals_go_on_without_a_database_and_are_counted_when_it_is_back(settings: Settings, wire: Wire) -> None:
    site = Site(settings.model_copy(update={"database_url": wire.url}))
    wire.down()
    # An endpoint's name is all that a refusal needs: nobody else counts on this one.
    assert [site.post("standard", b"{}", {}).status_code for _ in range(3)] == [400] * 3
    wire.up()
    assert eventually(lambda: site.counts("standard").get("bad_signature", 0) >= 3)
    site.close()


def test_not_migrated(settings: Settings, postgres: Postgres) -> None:
    postgres.create("no_tables")
    try:
        site = Site(settings.model_copy(update={"database_url": postgres.url("no_tables")}))
        assert_not_stored(site.deliver(new_event()[1]))
        site.close()
    finally:
        postgres.drop("no_tables")


def test_what_was_answered_survives_a_crash_of_the_server(settings: Settings, postgres: Postgres) -> None:
    site = Site(settings)
    events = dict(new_event() for _ in range(20))
    assert site.deliver_at_once(list(events.values())) == [200] * 20
    postgres.kill()
    try:
        assert_not_stored(site.deliver(new_event()[1]))
    finally:
        postgres.start()
    assert [len(site.events(event_id)) for event_id in events] == [1] * 20
    assert site.deliver(new_event()[1]).status_code == 200
    site.close()


@contextmanager
def frozen(server: Postgres) -> Iterator[None]:
    main = server.process()
    assert main is not None
    family = [main, *main.children(recursive=True)]
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.suspend()
    try:
        yield
    finally:
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.resume()


@contextmanager
def locked(site: Site) -> Iterator[None]:
    with site.transaction() as connection:
        connection.exec_driver_sql("LOCK TABLE webhook_events IN ACCESS EXCLUSIVE MODE")
        yield


@pytest.mark.parametrize("trouble", ["frozen", "locked"])
def test_database_hangs_and_goes_on(settings: Settings, postgres: Postgres, trouble: str) -> None:
    site = Site(settings.model_copy(update={"store_timeout_s": 0.4}))
    assert eventually(lambda: site.deliver(new_event()[1]).status_code == 200)
    events = dict(new_event() for _ in range(5))
    with frozen(postgres) if trouble == "frozen" else locked(site):
        assert site.deliver_at_once(list(events.values())) == [503] * 5
        assert_not_stored(site.deliver(new_event()[1]))
    for event_id, body in events.items():
        assert eventually(lambda body=body: site.deliver(body).status_code == 200)
        assert len(site.events(event_id)) == 1
    site.close()
