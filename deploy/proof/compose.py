"""docker-compose.yml brought up as a project of its own, beside whatever else the engine runs."""

import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "spp-proof"
ENDPOINT, SECRET = "stripe-proof", "whsec_proof_0123456789abcdefghijklmnopqrstuv"


class NotProven(Exception):
    """Something is not as promised; the message says what."""


def require(holds: object, what: str) -> None:
    """Goes on where it holds, with a line that says so. Raises NotProven."""
    if not holds:
        raise NotProven(what)
    print(f"  ok  {what}", flush=True)


class Compose:
    """The project, with its secrets in `folder`. `settings` are added to the environment of `docker compose`."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.secrets, self.backup = folder / "secrets", folder / "backup"
        self.port, self.console_port = _free_port(), _free_port()
        self._command = ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]
        self._environment = {
            **os.environ,
            "SPP_SECRETS": str(self.secrets),
            "SPP_BACKUP": str(self.backup),
            "SPP_ENDPOINTS": f"{ENDPOINT}=stripe:test",
            "SPP_PORT": str(self.port),
            "SPP_CONSOLE_PORT": str(self.console_port),
            "SPP_CONSOLE_HTTPS": "false",
            **settings,
        }
        self.secrets.mkdir()
        self.backup.mkdir()
        (self.secrets / ENDPOINT).write_text(SECRET)
        subprocess.run([ROOT / "deploy" / "secrets.sh", self.secrets], check=True)

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """`docker compose ARGUMENTS`; its standard output. Raises NotProven with what it printed."""
        command = [*self._command, "-p", PROJECT, "-f", str(ROOT / "docker-compose.yml"), *arguments]
        done = subprocess.run(command, env=self._environment, input=stdin, capture_output=True, text=True)
        if done.returncode:
            raise NotProven(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def run(self, service: str, *command: str, stdin: str | None = None) -> str:
        """The output of a command in the service's container."""
        return self("exec", "-T", service, *command, stdin=stdin)

    def spp(self, *command: str, stdin: str | None = None) -> str:
        """`spp COMMAND` in a container of its own, as people run it."""
        return self("run", "--rm", "-T", "spp", *command, stdin=stdin)

    def sql(self, query: str) -> list[list[str]]:
        """The rows of a query, read in PostgreSQL's own container."""
        out = self.run("postgres", "psql", "-U", "spp", "-At", "-F", "\t", "-c", query)
        return [line.split("\t") for line in out.splitlines()]

    def containers(self, service: str) -> list[str]:
        """The ids of the service's containers."""
        return self("ps", "-q", service).split()

    def state(self, container: str) -> dict[str, object]:
        """What the engine says of a container's state."""
        return dict(json.loads(docker("inspect", "--format", "{{json .State}}", container)))

    def wait_healthy(self, *services: str, seconds: float = 120) -> None:
        """Until every container of the services runs and is healthy. Raises NotProven with the last logs."""
        deadline = time.monotonic() + seconds
        for service in services:
            while not (ids := self.containers(service)) or not all(_healthy(self.state(one)) for one in ids):
                if time.monotonic() > deadline:
                    raise NotProven(f"{service} is not healthy:\n" + self("logs", "--tail", "30", service))
                time.sleep(0.5)


def docker(*arguments: str) -> str:
    """`docker ARGUMENTS`; its standard output."""
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout


def _healthy(state: dict[str, object]) -> bool:
    health = state.get("Health")
    return state["Status"] == "running" and isinstance(health, dict) and health["Status"] == "healthy"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
