"""The Celery app: `celery -A worker.app worker` and `celery -A worker.app beat`."""

import logging
import sys
from typing import Any

from celery import Celery, signals
from celery.schedules import crontab

from models.database.engine import check_reachable
from models.errors import SppError
from models.operations.jobs import schedule
from runtime import broker, logs, settings, telemetry
from webhooks.processors import adapters
from worker import tasks
from worker.jobs import JOBS
from worker.process import WorkerProcess

try:
    _settings = settings.load(settings.DatabaseRole.WORKER)
    adapters(_settings.endpoints)
    telemetry.check(_settings)
except (settings.SettingsError, SppError) as error:
    sys.exit(f"The worker cannot start.\n{error}")

NIGHTLY_RING_EXPIRES_S = 3600

app = Celery("spp")
app.conf.update(broker.celery_config(_settings.broker_url))
app.conf.beat_scheduler = "worker.beat:Scheduler"
app.conf.beat_schedule = {
    job.name.value: {
        "task": job.task,
        "schedule": crontab(hour=job.at.hour, minute=job.at.minute) if job.at else job.every_s,
        "options": {"expires": job.every_s or NIGHTLY_RING_EXPIRES_S},
    }
    for job in schedule(_settings)
}
app.task(name=broker.CREDIT_SESSIONS)(tasks.task(WorkerProcess.credit))
for _job in schedule(_settings):
    # Long jobs wait for processors' APIs, or read the whole ledger; the process's timer goes on crediting meanwhile.
    _limits = {"time_limit": 3600, "soft_time_limit": 3500} if _job.name.is_long else {}
    app.task(name=_job.task, **_limits)(tasks.task(JOBS[_job.name]))


def _look(**_: Any) -> None:
    # Not for beat, which asks nothing of the database and has no password for it.
    try:
        check_reachable(_settings.database_url)
    except SppError as error:
        sys.exit(f"The worker cannot start.\n{error}")


def _log(**_: Any) -> None:
    logs.configure(_settings.log_level)
    for chatty in ("celery.app.trace", "celery.worker.strategy"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # Celery's "ready" and "stopping" are logged at any level, because `spp up` waits for them.
    logging.getLogger("celery.apps.worker").setLevel(logging.INFO)


def _start(**_: Any) -> None:
    telemetry.start(_settings, "worker")
    tasks.process()


def _stop(**_: Any) -> None:
    tasks.process().stop()
    telemetry.end()


signals.setup_logging.connect(_log, weak=False)
signals.worker_init.connect(_look, weak=False)
signals.worker_process_init.connect(_start, weak=False)
signals.worker_process_shutdown.connect(_stop, weak=False)
