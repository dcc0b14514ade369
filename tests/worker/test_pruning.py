"""Workers give the bodies of old events up, at any time and any number of them at once; what was credited stays."""

from concurrent.futures import ThreadPoolExecutor

from runtime.settings import DatabaseRole, Settings
from tests.database_roles import as_role
from tests.worker.scene import Make, arrive, credited_once, join, paid_now, rows, run, value
from worker import jobs
from worker.crediting import Crediting
from worker.process import WorkerProcess
from worker.pruning import prune_all

LEFT = "SELECT count(*) FROM webhook_events WHERE pruned_at IS NULL"


def credited(make: Make, settings: Settings, payments: int) -> None:
    join(make, "sub_1")
    arrive(make, *(paid_now(f"in_{number}", "sub_1") for number in range(payments)))
    Crediting(settings, make).drain()
    run(make, "UPDATE webhook_events SET received_at = now() - interval '401 days'")


def test_a_night_prunes_all_there_is_and_is_recorded(make: Make, settings: Settings) -> None:
    credited(make, settings, 3)
    worker = WorkerProcess(as_role(settings, DatabaseRole.WORKER))
    try:
        jobs.prune(worker)
    finally:
        worker.stop()
    assert value(make, LEFT) == 0
    assert rows(make, "SELECT summary, error FROM jobs WHERE name = 'prune'") == [
        ("the bodies of 3 events deleted", None)
    ]
    assert credited_once(make, ["in_0", "in_1", "in_2"])


def test_several_at_once_prune_each_event_once(make: Make, settings: Settings) -> None:
    credited(make, settings, 20)
    with ThreadPoolExecutor(3) as pool:
        done = sum(pool.map(lambda _: prune_all(make, 400, batch=2), range(3)))
    assert (done, value(make, LEFT)) == (20, 0)


def test_a_night_that_is_over_leaves_the_rest_to_the_next(make: Make, settings: Settings) -> None:
    credited(make, settings, 5)
    nights = iter([True, True, False])
    assert prune_all(make, 400, batch=2, keep_on=lambda: next(nights)) == 4
    assert value(make, LEFT) == 1
    assert prune_all(make, 400, batch=2) == 1
