"""What breaks. Each fault gets the stack and a number between 0 and 1, and mends what it broke before it ends."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock

import psutil
import redis

from bench.storm.machine import Machine
from bench.storm.proxy import COMMIT, Proxy
from local.errors import ServerFailed
from local.servers import Broker, Postgres
from local.stack import Stack
from local.standin import StandIn

OURS = ("web", "console", "worker", "beat")
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
    lock: RLock = field(default_factory=RLock)
    """Held by whoever starts or ends a process."""


Fault = Callable[[Broken, float], None]


def kill(name: str) -> Fault:
    """SIGKILL one of our processes with its children; it is started again."""

    def happen(broken: Broken, chance: float) -> None:  # noqa: ARG001
        with broken.lock:
            broken.stack.kill(name)
            broken.stack.start(name)

    return happen


def kill_child(broken: Broken, chance: float) -> None:
    """SIGKILL one of the worker's children."""
    with contextlib.suppress(psutil.Error, KeyError, IndexError):
        children = broken.stack.process("worker").children()
        children[int(chance * len(children))].kill()


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


def hang_broker(broken: Broken, chance: float) -> None:
    """The broker accepts connections and answers nothing for up to six seconds."""
    broken.broker.pause()
    time.sleep(chance * 6)
    broken.broker.resume()


def cut(broken: Broken, chance: float) -> None:
    """Every connection to the database ends, some of them within a transaction; three times."""
    for _ in range(3):
        broken.proxy.cut()
        time.sleep(chance * 0.3)


def lose_commits(broken: Broken, chance: float) -> None:
    """The answers to some COMMITs are lost."""
    broken.proxy.lose_answers(1 + int(chance * 5), COMMIT)


def lose_answers(broken: Broken, chance: float) -> None:
    """The answers to some statements are lost, those that store deliveries among them."""
    broken.proxy.lose_answers(1 + int(chance * 10))


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
        with contextlib.suppress(psutil.Error):
            os.kill(one.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for one in family:
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                os.kill(one.pid, signal.SIGCONT)


FAULTS: dict[str, Fault] = {
    **{f"kill {name}": kill(name) for name in OURS},
    **{f"restart {name}": restart(name) for name in OURS},
    **{f"stop {name}": stop_for(name) for name in OURS},
    "kill a worker child": kill_child,
    "kill postgres": kill_postgres,
    "stop postgres": stop_postgres,
    "kill the broker": kill_broker,
    "wipe the broker": wipe_broker,
    "hang the broker": hang_broker,
    "cut connections": cut,
    "lose COMMITs": lose_commits,
    "lose answers": lose_answers,
    "slow network": slow_network,
    "APIs fail": apis_fail,
    "APIs hang": apis_hang,
    "fill the disk of PostgreSQL": fill_disk("postgres"),
    "fill the disk of the logs": fill_disk("logs"),
    "the clock jumps": clock_jumps,
    "expire": command("expire"),
    "audit": command("audit"),
    "prune": command("prune"),
    "migrate": command("migrate"),
}


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
