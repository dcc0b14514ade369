"""The stack of a storm, with everything between its parts that can be broken."""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.engine import make_url

from bench import loading
from bench.site import Site
from bench.storm import without
from bench.storm.browser import Browser
from bench.storm.checking import Checking
from bench.storm.counted import Counted
from bench.storm.faults import LEASE_S, OURS, Broken, Happened
from bench.storm.machine import Machine
from bench.storm.people import People
from bench.storm.proxy import Proxy
from bench.storm.senders import Senders
from bench.storm.storm import STUCK_S, Storm
from bench.storm.world import MEMBERS, World
from local import endpoints
from local.api_objects import Objects
from local.stack import Stack
from local.standin import StandIn, standins
from models.database.engine import make_engine, sessions
from models.staff import accounts, tokens
from models.staff.accounts import Role
from models.staff.actions import Actor
from models.staff.tokens import TokenScope
from runtime.settings import load
from webhooks.processors import adapter

DATABASE = "storm"
EMAIL, PASSWORD = "storm@example.com", "a storm in a teacup"
OFTEN = {
    "SPP_SWEEP_EVERY_S": "3", "SPP_EXPIRE_EVERY_S": "10", "SPP_LEASE_S": f"{LEASE_S:g}", "SPP_RETRY_CAP_S": "5",
    "SPP_STORE_TIMEOUT_S": "9",
}  # fmt: skip
"""So that what failed comes again soon, however often it fails, and a worker that stands still is overtaken."""


@contextmanager
def storm(site: Site, machine: Machine, seed: int, lacking: str | None = None) -> Iterator[Storm]:
    """All of it, without the protection that is named, as long as the block lasts."""
    loading.our_database(site, DATABASE, MEMBERS)
    folder, happened = site.folder / "up", Happened()
    with ExitStack() as stack:
        running = {kind: stack.enter_context(StandIn(kind, folder / "standin")) for kind in standins()}
        (folder / "standin").mkdir(parents=True, exist_ok=True)
        (folder / "standin" / "urls.json").write_text(json.dumps({kind: one.url for kind, one in running.items()}))
        proxy = Proxy(site.folder / "proxy", Path(str(make_url(site.postgres.url(DATABASE)).query["host"])), happened)
        stack.callback(proxy.close)
        environment = {
            **site.our_environment(DATABASE),
            **machine.environment,
            **stack.enter_context(endpoints.provided(folder, run=False)),
            **OFTEN,
            "DATABASE_URL": f"postgresql://postgres@/{DATABASE}?host={proxy.folder}",
        }
        os.environ.update(environment)
        if lacking:
            environment |= without.environment(site.folder, lacking)
        processors = [adapter(one) for one in load().endpoints]
        names = [one.endpoint.name for one in processors]
        with site.connect(DATABASE) as connection:
            connection.execute(PREPARE)
            connection.execute(_REFERENCES, [names])
        loading.tidy(site, DATABASE)
        ours = Stack(environment, site.folder / "logs")
        stack.callback(ours.stop)
        ours.start(*OURS)
        ours.wait_ready(STUCK_S)
        senders = Senders(
            Counted(here=set(range(MEMBERS))),
            lambda kind: Objects(folder / "standin" / kind),
            lambda: (ours.port, ours.console_port),
        )
        stack.callback(senders.close)
        places = {place: place + 1 for place in range(MEMBERS)}
        browser = Browser(senders, EMAIL, PASSWORD)
        people = People(senders, _token(site), environment, names, browser, {**places}, {**places})
        broken = Broken(ours, site.postgres, site.broker, proxy, running, environment, machine, happened)
        checking = Checking(site, DATABASE, senders.counted, people, environment)
        yield Storm(broken, senders, people, World(seed, processors), seed, checking)


# A second plan of the same dues; and members of three days ago, so that a plan can be changed from today.
PREPARE = """
    SET LOCAL session_replication_role = replica;
    UPDATE memberships SET recorded_at = recorded_at - interval '3 days';
    UPDATE membership_terms SET since = since - interval '3 days';
    SET LOCAL session_replication_role = origin;
    INSERT INTO payment_terms (offer_id, name, dues_minor, currency, interval, interval_count, release)
    SELECT offer_id, 'Small', dues_minor, currency, interval, interval_count, release FROM payment_terms;
    INSERT INTO bucket_terms (payment_term_id, session_bucket_id, offer_id, quantity, days_to_expire)
    SELECT 2, b.session_bucket_id, b.offer_id, CASE b.quantity WHEN 10 THEN 4 ELSE 1 END, b.days_to_expire
    FROM bucket_terms b;
"""
_REFERENCES = """
    INSERT INTO billing_references (endpoint, reference, membership_id)
    SELECT name, reference, membership_id FROM billing_references, unnest(%s::text[]) AS name
    ON CONFLICT DO NOTHING
"""


def _token(site: Site) -> str:
    engine = make_engine(site.postgres.url(DATABASE))
    by = Actor("storm", "bench")
    with sessions(engine).begin() as session:
        person = accounts.add(
            session, email=EMAIL, name="Storm", role=Role.MANAGER, password=PASSWORD, by=by, now=datetime.now(UTC),
        )  # fmt: skip
        _, secret = tokens.make(session, person, name="storm", scope=TokenScope.WRITE, by=by)
    engine.dispose()
    return secret
