"""How every process speaks to the broker: names, and the options that survived.

A message says only "there is work". PostgreSQL holds the work itself, so a lost
message costs a delay and never a payment; the options below are chosen for
bounded waits and against surprises, not for delivery guarantees. docs/architecture.md
tells what each one prevents.
"""

from typing import Any

EVENTS = "events"
MAINTENANCE = "maintenance"

CREDIT_SESSIONS = "worker.tasks.credit_sessions"
JOBS = "worker.jobs."
"""The prefix of the names of the scheduled jobs' tasks."""

KEPT = {EVENTS: 1, MAINTENANCE: 100}
"""How many messages wait in each queue: the newest. One ring says all; the clock's jobs come a few in a minute."""
KEY_PREFIX = "spp:"
"""What the names of our keys in Redis or Valkey begin with."""


def job_task(name: str) -> str:
    """The name of the task of a scheduled job."""
    return JOBS + name


def is_redis(broker_url: str) -> bool:
    """Whether the broker speaks the protocol of Redis."""
    return broker_url.startswith(("redis:", "rediss:", "valkey:", "valkeys:"))


def redis_url(broker_url: str) -> str:
    """The URL as Redis's client libraries know it: `valkey://` is a name of ours for `redis://`."""
    return "redis" + broker_url.removeprefix("valkey") if broker_url.startswith("valkey") else broker_url


def celery_config(broker_url: str) -> dict[str, Any]:
    """Celery's configuration, the same for those who ring and those who work."""
    from kombu import Queue

    config: dict[str, Any] = {
        "broker_url": redis_url(broker_url),
        "broker_connection_timeout": 1,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "task_publish_retry": False,
        "result_backend": None,
        "task_ignore_result": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_acks_late": False,
        "task_reject_on_worker_lost": False,
        "task_time_limit": 30,
        "task_soft_time_limit": 20,
        "task_create_missing_queues": False,
        "task_default_queue": EVENTS,
        # RabbitMQ keeps to the limits by itself; for Redis and Valkey, broker_redis does.
        "task_queues": [Queue(name, max_length=kept) for name, kept in KEPT.items()],
        "task_routes": {CREDIT_SESSIONS: {"queue": EVENTS}, f"{JOBS}*": {"queue": MAINTENANCE}},
        "worker_disable_prefetch": True,
        "worker_prefetch_multiplier": 1,
        # Concerns late acknowledgements, of which there are none; unset, or False, it warns at each lost connection.
        "worker_cancel_long_running_tasks_on_connection_loss": True,
        "worker_enable_prefetch_count_reduction": False,
        "worker_max_tasks_per_child": 20_000,
        "worker_max_memory_per_child": 256_000,
        # Whoever reaches the broker could end the workers by it; their heartbeats say how they are.
        "worker_enable_remote_control": False,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "timezone": "UTC",
        "beat_max_loop_interval": 2,
        # Beat writes its schedule with each message, so that the file also shows that it is alive.
        "beat_sync_every": 1,
        "worker_consumer": "worker.consumer:Consumer",
    }
    if is_redis(broker_url):
        from kombu.transport import TRANSPORT_ALIASES

        # By the URL's scheme and not by `broker_transport`, with which kombu would forget the TLS of rediss://.
        TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), "runtime.broker_redis:Transport"))
        config["broker_transport_options"] = {
            "ack_emulation": False,
            "priority_steps": [0],
            "socket_timeout": 1.0,
            "socket_connect_timeout": 1.0,
            "socket_keepalive": True,
            "health_check_interval": 5,
            "max_retries": 0,
            "interval_start": 0,
            "interval_step": 0.05,
            "interval_max": 0.1,
            "global_keyprefix": KEY_PREFIX,
            "client_name": "spp",
        }
    return config
