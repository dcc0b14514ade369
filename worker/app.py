"""The Celery app: `celery -A worker.app worker` and `celery -A worker.app beat`."""

import logging
import sys
from typing import Any

from celery import Celery, signals
from celery.schedules import crontab
from kombu import Queue

import broker
import logs
import settings
from models.database import check_reachable
from models.errors import SppError
from webhooks.processors import adapters
from worker import tasks

try:
    _settings = settings.load()
    adapters(_settings.endpoints)
    check_reachable(_settings.database_url)
except (settings.SettingsError, SppError) as error:
    sys.exit(f"The worker cannot start.\n{error}")

app = Celery("spp")
app.conf.update(broker.celery_config(_settings.broker_url))
app.conf.task_queues = [Queue(broker.EVENTS), Queue(broker.MAINTENANCE)]
app.conf.beat_schedule = {
    "sweep": {
        "task": broker.CREDIT_SESSIONS,
        "schedule": _settings.sweep_every_s,
        "kwargs": {"sweep": True},
        "options": {"expires": _settings.sweep_every_s},
    },
    "expire": {
        "task": broker.EXPIRE_SESSIONS,
        "schedule": _settings.expire_every_s,
        "options": {"expires": _settings.expire_every_s},
    },
    "reconcile": {
        "task": broker.RECONCILE_PAYMENTS,
        "schedule": crontab(hour=_settings.reconcile_hour_utc, minute=17),
        "options": {"expires": 3600},
    },
}
app.task(name=broker.CREDIT_SESSIONS)(tasks.credit_sessions)
app.task(name=broker.EXPIRE_SESSIONS)(tasks.expire_sessions)
# It waits for processors' APIs; meanwhile the process's timer goes on crediting.
app.task(name=broker.RECONCILE_PAYMENTS, time_limit=3600, soft_time_limit=3500)(tasks.reconcile_payments)


def _log(**_: Any) -> None:
    logs.configure(_settings.log_level)
    for chatty in ("celery.app.trace", "celery.worker.strategy"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _start(**_: Any) -> None:
    tasks.process()


def _stop(**_: Any) -> None:
    tasks.process().stop()


signals.setup_logging.connect(_log, weak=False)
signals.worker_process_init.connect(_start, weak=False)
signals.worker_process_shutdown.connect(_stop, weak=False)
