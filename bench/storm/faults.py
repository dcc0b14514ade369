"""What breaks. Each fault gets the stack and a number between 0 and 1, and mends what it broke before it ends."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock, RLock

import psutil
import redis

from bench.storm.machine import Machine
from bench.storm.proxy import COMMIT, STORES, Proxy
from local.errors import ServerFailed
from local.servers import Broker, Postgres
from local.stack import Stack
from local.standin import StandIn

OURS = ("web", "console", "worker", "beat")
LEASE_S = 5.0
SPP = Path(sys.executable).with_name("spp")


@dataclass
class Broken:
    """All that can be broken."""

    stack: Stack
    postgres: Postgres
    broker: Broker
    proxy: Proxy
    standins: dict[str, StandIn]
    environment: dict[str, str]
    machine: Machine
    happened: "Happened"
    lock: RLock = field(default_factory=RLock)
    """Held by whoever starts or ends a process."""


class Happened:
    """The faults so far, by kind; called with the kind of each."""

    def __init__(self) -> None:
        self.times: Counter[str] = Counter()
        self._lock = Lock()

    def __call__(self, kind: str) -> None:
        with self._lock:
            self.times[kind] += 1


Fault = Callable[[Broken, float], None]


def kill(name: str) -> Fault:
    """SIGKILL one of our processes with its children; it is started again."""

    def happen(broken: Broken, chance: float) -> None:  # noqa: ARG001
        with broken.lock:
            broken.stack.kill(name)
            broken.stack.start(name)

    return happen


def child(name: str, chance: float, broken: Broken) -> psutil.Process:
    """One of a process's children. Raises IndexError where there is none."""
    children = broken.stack.process(name).children()
    return children[int(chance * len(children))]


def kill_child(name: str) -> Fault:
    """SIGKILL one of the children of that process."""

    def happen(broken: Broken, chance: float) -> None:
        with contextlib.suppress(psutil.Error, KeyError, IndexError):
            child(name, chance, broken).kill()

    return happen


def stop_child(broken: Broken, chance: float) -> None:
    """SIGSTOP one of the worker's children for longer than its lease: another takes its events, then it goes on."""
    with contextlib.suppress(psutil.Error, KeyError, IndexError), stopped([child("worker", chance, broken)]):
        time.sleep(LEASE_S + chance * 2)


def orphan(broken: Broken, chance: float) -> None:  # noqa: ARG001
    """SIGKILL the worker's parent, and leave its children alone."""
    with broken.lock, contextlib.suppress(psutil.Error, KeyError):
        broken.stack.process("worker").kill()


def end_backend(broken: Broken, chance: float) -> None:
    """PostgreSQL ends one of its backends, as an administrator would."""
    if process := broken.postgres.process():
        with contextlib.suppress(psutil.Error, IndexError):
            ours = [one for one in process.children() if "[local]" in " ".join(one.cmdline())]
            ours[int(chance * len(ours))].terminate()


def restart(name: str) -> Fault:
    """Ask one of our processes to stop, in good order, and start it again."""

    def happen(broken: Broken, chance: float) -> None:  # noqa: ARG001
        with contextlib.suppress(psutil.Error, KeyError):
            process = broken.stack.process(name)
            process.terminate()
            process.wait(30)
        revive(broken)

    return happen


def stop_for(name: str) -> Fault:
    """SIGSTOP one of our processes with its children for up to six seconds."""

    def happen(broken: Broken, chance: float) -> None:
        with contextlib.suppress(psutil.Error, KeyError):
            process = broken.stack.process(name)
            with stopped([process, *process.children(recursive=True)]):
                time.sleep(chance * 6)

    return happen


def kill_postgres(broken: Broken, chance: float) -> None:
    """SIGKILL the postmaster and its backends; it recovers from its log."""
    with broken.lock:
        broken.postgres.kill()
    time.sleep(chance)
    revive(broken)


def stop_postgres(broken: Broken, chance: float) -> None:
    """SIGSTOP every process of PostgreSQL for up to six seconds."""
    if process := broken.postgres.process():
        with stopped([process, *process.children(recursive=True)]):
            time.sleep(chance * 6)


def kill_broker(broken: Broken, chance: float) -> None:
    """SIGKILL the broker; with it go all messages."""
    with broken.lock:
        broken.broker.kill()
    time.sleep(chance * 3)
    revive(broken)


def wipe_broker(broken: Broken, chance: float) -> None:  # noqa: ARG001
    """Every message is gone at once."""
    with contextlib.suppress(redis.RedisError), redis.Redis.from_url(broken.broker.url, socket_timeout=2) as client:
        client.flushall()


def cut_broker(broken: Broken, chance: float) -> None:  # noqa: ARG001
    """Every connection to the broker ends."""
    with contextlib.suppress(redis.RedisError), redis.Redis.from_url(broken.broker.url, socket_timeout=2) as client:
        client.client_kill_filter(_type="normal", skipme=True)


def hang_broker(broken: Broken, chance: float) -> None:
    """The broker accepts connections and answers nothing for up to six seconds."""
    broken.broker.pause()
    time.sleep(chance * 6)
    broken.broker.resume()


def cut(broken: Broken, chance: float) -> None:  # noqa: ARG001
    """Every connection to the database ends, some of them within a transaction."""
    broken.proxy.cut()


def cut_one(broken: Broken, chance: float) -> None:
    """One connection to the database ends."""
    broken.proxy.cut_one(chance)


def lose(of: bytes) -> Fault:
    """The answers to up to three messages that have this in them are lost; the proxy counts each."""

    def happen(broken: Broken, chance: float) -> None:
        broken.proxy.lose_answers(1 + int(chance * 3), of)

    return happen


def slow_network(broken: Broken, chance: float) -> None:
    """Each message to and from the database is late."""
    broken.proxy.slow(0.005 + chance * 0.05)
    time.sleep(chance * 3)
    broken.proxy.slow(0)


def apis_fail(broken: Broken, chance: float) -> None:
    """The processors' APIs answer with errors."""
    for standin in broken.standins.values():
        standin.fail((500, 503, 429, 404)[int(chance * 4)], times=1 + int(chance * 6))


def apis_hang(broken: Broken, chance: float) -> None:
    """One processor's API answers late."""
    standins = [*broken.standins.values()]
    with standins[int(chance * len(standins))].held():
        time.sleep(chance * 5)


def fill_disk(name: str) -> Fault:
    """The file system of PostgreSQL, or of the logs, is full for up to four seconds."""

    def happen(broken: Broken, chance: float) -> None:
        if disk := broken.machine.disks.get(name):
            ballast = disk / "ballast"
            with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
                while file.write(bytes(1 << 20)):
                    pass
            time.sleep(chance * 4)
            ballast.unlink(missing_ok=True)
            revive(broken)

    return happen


def clock_jumps(broken: Broken, chance: float) -> None:
    """The clock of everything is up to an hour ahead or behind for up to four seconds."""
    broken.machine.jump(int((chance - 0.5) * 7200))
    time.sleep(chance * 4)
    broken.machine.jump(0)


def command(*arguments: str) -> Fault:
    """One of the jobs that run by the clock, now."""

    def happen(broken: Broken, chance: float) -> None:  # noqa: ARG001
        subprocess.run([SPP, *arguments], env=broken.environment, capture_output=True, timeout=120, check=False)

    return happen


@contextmanager
def stopped(family: list[psutil.Process]) -> Iterator[None]:
    """The processes stand still within the block."""
    for one in family:
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            os.kill(one.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for one in family:
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                os.kill(one.pid, signal.SIGCONT)


SLOW: dict[str, Fault] = {
    **{f"{name} killed": kill(name) for name in OURS},
    **{f"{name} restarted": restart(name) for name in OURS},
    **{f"{name} stopped": stop_for(name) for name in OURS},
    "worker's children orphaned": orphan,
    "worker child stopped": stop_child,
    "PostgreSQL killed": kill_postgres,
    "PostgreSQL stopped": stop_postgres,
    "broker killed": kill_broker,
    "broker hung": hang_broker,
    "network slow": slow_network,
    "processor's API hung": apis_hang,
    "disk of PostgreSQL full": fill_disk("postgres"),
    "disk of the logs full": fill_disk("logs"),
    "clock jumped": clock_jumps,
    "expiry run into it": command("expire"),
    "audit run into it": command("audit"),
    "pruning run into it": command("prune"),
    "migrations run into it": command("migrate"),
}
"""What takes seconds, or leaves something to be started again."""
QUICK: tuple[tuple[float, str | None, Fault], ...] = (
    (4, None, lose(COMMIT)),
    (4, None, lose(b"")),
    (2, None, lose(STORES)),
    (6, "connection to the database cut", cut_one),
    (1, "all connections to the database cut", cut),
    (4, "backend of PostgreSQL ended", end_backend),
    (1, "worker child killed", kill_child("worker")),
    (0.2, "web child killed", kill_child("web")),
    (0.2, "console child killed", kill_child("console")),
    (2, "broker wiped", wipe_broker),
    (2, "connections to the broker cut", cut_broker),
    (2, "processors' APIs fail", apis_fail),
)
"""What is over at once: how often of each other, and its name; None where it is counted by who does it."""


def quick(broken: Broken, drawing: random.Random) -> None:
    """One of them."""
    ((_, name, fault),) = drawing.choices(QUICK, [weight for weight, _, _ in QUICK])
    fault(broken, drawing.random())
    if name:
        broken.happened(name)


def slow(broken: Broken, drawing: random.Random) -> None:
    """One of them."""
    name = drawing.choice([*SLOW])
    SLOW[name](broken, drawing.random())
    broken.happened(name)


def revive(broken: Broken) -> None:
    """Start what has ended, as a supervisor does."""
    with broken.lock:
        for server in (broken.postgres, broken.broker):
            if server.process() is None:
                with contextlib.suppress(ServerFailed):  # its disk is full: the next who revives tries again
                    server.start()
        broken.stack.start(*OURS)


def mend(broken: Broken) -> None:
    """Everything runs, and nothing is in its way."""
    broken.proxy.calm()
    broken.machine.jump(0)
    for standin in broken.standins.values():
        standin.calm()
    revive(broken)
