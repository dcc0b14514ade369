"""The parts of the storm do what they say; the storm itself is a step of .ci/run."""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path

import psycopg
import pytest
import redis
from sqlalchemy.engine import make_url

from bench import loading
from bench.site import Site
from bench.storm import without
from bench.storm.checking import Checking
from bench.storm.counted import Counted
from bench.storm.machine import Machine
from bench.storm.people import Made
from bench.storm.proxy import COMMIT, STORES, Proxy
from bench.storm.world import MEMBERS, SETTLED, STAYS, Act, Story, World, endless, parts
from local.servers import Broker, Postgres
from local.stack import ROOT, Stack
from runtime.settings import Endpoint
from tests.worker.conftest import environment
from tests.worker.scene import until
from webhooks.processors import ADAPTERS, Processor, adapter, processor_named

DAY, TODAY = timedelta(days=1), date(2026, 12, 1)


@pytest.fixture
def happened() -> list[str]:
    return []


@pytest.fixture
def proxy(postgres: Postgres, tmp_path: Path, happened: list[str]) -> Iterator[Proxy]:
    made = Proxy(tmp_path / "proxy", Path(str(make_url(postgres.url("postgres")).query["host"])), happened.append)
    yield made
    made.close()


def connect(proxy: Proxy) -> psycopg.Connection:
    return psycopg.connect(host=str(proxy.folder), user="postgres", dbname="postgres")


def test_what_was_committed_is_there_although_its_answer_is_lost(
    postgres: Postgres, proxy: Proxy, happened: list[str]
) -> None:
    with psycopg.connect(make_url(postgres.url("postgres")).set(drivername="postgresql").render_as_string()) as direct:
        direct.autocommit = True
        direct.execute("CREATE TABLE IF NOT EXISTS storm_proxy (number int)")
        direct.execute("TRUNCATE storm_proxy")
        ours = connect(proxy)
        ours.execute("INSERT INTO storm_proxy VALUES (1)")
        proxy.lose_answers(1, COMMIT)
        with pytest.raises(psycopg.OperationalError):
            ours.commit()
        until(lambda: direct.execute("SELECT * FROM storm_proxy").fetchall() == [(1,)])
        with connect(proxy) as next_one:
            next_one.execute("INSERT INTO storm_proxy VALUES (2)")
        assert happened == ["an answer to COMMIT lost"]
        assert proxy.to_lose == 0
        assert direct.execute("SELECT count(*) FROM storm_proxy").fetchall() == [(2,)]
        direct.execute("DROP TABLE storm_proxy")


def test_only_what_stores_deliveries_loses_their_answers(proxy: Proxy) -> None:
    with connect(proxy) as other, connect(proxy) as stores:
        with pytest.raises(psycopg.errors.UndefinedTable):
            stores.execute("INSERT INTO webhook_events VALUES (1)")
        stores.rollback()
        proxy.lose_answers(1, STORES)
        other.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError):
            stores.execute("SELECT 1")


def test_the_proxy_cuts_and_is_slow(proxy: Proxy) -> None:
    first, second = connect(proxy), connect(proxy)
    proxy.slow(0.2)
    began = time.monotonic()
    first.execute("SELECT 1")
    assert time.monotonic() - began > 0.2
    proxy.calm()
    proxy.cut_one(0.0)
    with pytest.raises(psycopg.OperationalError):
        first.execute("SELECT 1")
    second.execute("SELECT 1")
    proxy.cut()
    with pytest.raises(psycopg.OperationalError):
        second.execute("SELECT 1")


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    folder = tmp_path / "machine"
    folder.mkdir()
    made = Machine(disks_mb={})
    with made.prepared(folder):
        if not made.environment:
            pytest.skip("no C compiler")
        yield made


def test_the_clock_jumps(machine: Machine) -> None:
    script = "import time; from datetime import datetime, UTC; print(time.time(), datetime.now(UTC).timestamp())"
    for wrong_by in (3600, -3600, 0):
        machine.jump(wrong_by)
        told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
        assert all(abs(float(one) - time.time() - wrong_by) < 600 for one in told.split())


def test_beat_goes_on_after_its_clock_was_set_back(machine: Machine, own_broker: Broker, tmp_path: Path) -> None:
    ours = environment("postgresql://nobody@127.0.0.1:1/none", own_broker.url, SPP_SWEEP_EVERY_S="1")
    stack = Stack(ours | machine.environment, tmp_path)
    machine.jump(3600)
    with redis.Redis.from_url(own_broker.url) as client:
        try:
            stack.start("beat")
            until(lambda: client.llen("spp:maintenance"))
            machine.jump(0)
            time.sleep(2)
            client.flushall()
            until(lambda: client.llen("spp:maintenance"))
        finally:
            stack.stop()
            client.flushall()


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker(tmp_path_factory.mktemp("broker")) as server:
        yield server


@pytest.fixture(scope="module")
def processors() -> list[Processor]:
    return [
        adapter(
            Endpoint(
                name=processor.replace("_", "-"),
                processor=processor,
                mode="test",
                account="account",
                options=dict(processor_named(processor).trial.options),
                secrets=(processor_named(processor).trial.secret(),),
                api_key=("client", "secret"),
            )
        )
        for processor in ("stripe", "adyen", "gocardless", "standard_webhooks")
        if processor in ADAPTERS
    ]


def test_a_seed_draws_the_same_again(processors: list[Processor]) -> None:
    def drawn(seed: int) -> list[object]:
        some = islice(endless(World(seed, processors)), 300)
        return [
            one if isinstance(one, Act) else (one.place, one.ending, [each.times for each in one.deliveries])
            for one in some
        ]

    assert drawn(7) == drawn(7) != drawn(8)


def test_events_of_a_batch_are_counted_one_by_one(processors: list[Processor]) -> None:
    stories = [one for one in islice(endless(World(7, processors)), 600) if isinstance(one, Story)]
    in_one = [one for one in stories if any(len(parts(each.sample.content)) > 1 for each in one.deliveries)]
    assert {one.deliveries[0].processor.endpoint.processor for one in in_one} == {"adyen", "gocardless"}
    assert all(len(one.deliveries) == 1 for one in in_one)
    contents = [part for one in stories for each in one.deliveries for part in parts(each.sample.content)]
    assert len(contents) == len(set(contents))
    assert all(one.ending == STAYS for one in stories if one.place is None or not SETTLED <= one.place < MEMBERS)


def test_what_is_counted_is_plain_addition() -> None:
    counted = Counted(here={0, 1})
    counted.paid_on[0] += [TODAY - DAY, TODAY]
    counted.paid_on[1] += [TODAY]
    counted.paid_on[2] += [TODAY]
    counted.moved[0, "Class"] -= 3
    counted.lost_for_good = 1
    assert counted.left() == Counter({(0, "Class"): 17, (0, "Training"): 4, (1, "Class"): 10, (1, "Training"): 2})
    assert counted.unmatched() == 2

    counted.plans[0][TODAY] = "Small"
    assert counted.left()[0, "Class"] == 10 + 4 - 3
    counted.plans[0][TODAY] = "Term"
    counted.owners[1] = 0
    assert counted.left() == Counter({(0, "Class"): 27, (0, "Training"): 6})

    counted.frozen[1] = 1, TODAY + 3 * DAY, TODAY + 4 * DAY
    counted.frozen[2] = 1, TODAY + 4 * DAY, TODAY + 5 * DAY
    counted.frozen[3] = 1, TODAY + 33 * DAY, TODAY + 33 * DAY
    assert counted.last_days(1) == Counter({("Class", TODAY + 34 * DAY): 1, ("Training", TODAY + 64 * DAY): 1})


@pytest.mark.parametrize("name", without.WITHOUT)
def test_each_protection_can_be_taken_out(name: str, tmp_path: Path) -> None:
    """Its code is still what the control takes out: a process without it starts."""
    lacking = without.environment(tmp_path, name)
    asks = "from worker import crediting; from webhooks import intake; from console.api import gate; from models.ledger"
    told = subprocess.run(
        [sys.executable, "-c", f"{asks} import redemptions; import os; print(os.environ['STORM_WITHOUT'])"],
        cwd=ROOT, env={**os.environ, **lacking}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (told.stdout, told.stderr) == (f"{name}\n", "")


def test_without_locks_only_the_claims_lock() -> None:
    kept = "FOR UPDATE SKIP LOCKED; FOR UPDATE OF g SKIP LOCKED"
    assert without.unlocked(f"{kept}; FOR UPDATE OF g; FOR NO KEY UPDATE; FOR SHARE") == f"{kept}; ; ; "


class NoPeople:
    """Members whom nobody has touched."""

    def __init__(self) -> None:
        self.members = self.memberships = {0: 1, 1: 2}
        self.made = Made(redeemed={7: 3}, returned=1, by_hand=2)


def test_differences_are_found(postgres: Postgres, own_broker: Broker, tmp_path: Path) -> None:
    site = Site(tmp_path, postgres, own_broker, 1)
    loading.our_database(site, "storm_checking", 2)
    counted = Counted(here={0, 1})
    people = NoPeople()
    checking = Checking(site, "storm_checking", counted, people, {})
    people.made, later = Made(), people.made
    assert list(checking.compare()) == []
    people.made = later
    counted.events["stripe"] += 1
    counted.moved[0, "Class"] += 2
    counted.paid_on[1].append(TODAY)
    counted.lost_for_good += 1
    wanted = [(("Class", TODAY + 30 * DAY), 1), (("Training", TODAY + 60 * DAY), 1)]
    assert list(checking.compare()) == [
        "stripe has 0 events, and told 1",
        "member 1 has 0 of Class instead of 2",
        "member 2 has 0 of Class instead of 10",
        "member 2 has 0 of Training instead of 2",
        f"membership 2 has last days [] instead of {wanted}",
        "0 payments are unmatched, and 1 should be",
        "redemption 7 has taken 0 instead of 3",
        "0 were returned instead of 1",
        "0 were given by hand instead of 2",
    ]
    assert not checking.has_swept(datetime.now(UTC))
    assert checking.due() == checking.failed_events() == checking.never(datetime.now(UTC)) == 0
