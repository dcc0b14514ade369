"""Proves docker-compose.yml on this machine's Docker engine: `python3 -m deploy.proof.prove [--stand-ins]`, as root.

Builds the image, brings everything up as the project `spp-proof`, signs up, posts, kills every container's process
in the middle of a stream, looks inside, and takes all of it away again. With --stand-ins, on the images that
deploy/proof/images/make.sh makes where none can be pulled; else on those that docker-compose.yml names.
Needs nothing but Python, Docker and its compose. Exits 1 with the first thing that is not as promised.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, Request, build_opener, urlopen

from deploy.proof.compose import ENDPOINT, ROOT, SECRET, Compose, NotProven, docker, require
from deploy.proof.stream import SUBSCRIPTION, Stream, require_credited_once

IMAGE = "sessions-per-payment"
OURS = ("webhooks", "console", "worker", "beat")
ADMIN, PASSWORD = "root@example.com", "correct horse battery staple"
STAND_INS = {f"{name.upper()}_IMAGE": f"spp-proof/{name}" for name in ("postgres", "valkey", "rabbitmq", "prometheus")}
GRANTS_EACH = 2
"""The sample gym's dues give sessions of two items."""


def main() -> None:
    """The entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stand-ins", action="store_true", help="on images made here, not pulled")
    parser.add_argument("--base", help="Python's image to build on")
    options = parser.parse_args()
    base = options.base or ("spp-proof/python" if options.stand_ins else None)
    try:
        build(base)
        with (
            tempfile.TemporaryDirectory(prefix="spp-proof-") as folder,
            project(Path(folder), options.stand_ins) as compose,
        ):
            first_start(compose)
            acknowledged = kills(compose)
            scale_and_stop(compose, acknowledged)
            inside(compose)
            point_in_time(compose)
            monitoring(compose, grafana=not options.stand_ins)
        with tempfile.TemporaryDirectory(prefix="spp-proof-") as folder:
            more = {"BROKER_URL": "amqp://guest:guest@rabbitmq//"}
            with project(Path(folder), options.stand_ins, "--profile", "rabbitmq", **more) as compose:
                rabbitmq(compose)
    except NotProven as error:
        sys.exit(f"NOT PROVEN: {error}")
    print("Proven.")


def build(base: str | None) -> None:
    """The image, by the Dockerfile, with no secret in its history."""
    print("The image")
    arguments = ["--build-arg", f"BASE={base}"] if base else []
    environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
    command = ["docker", "build", "--quiet", "--network", "host", *arguments, "--tag", IMAGE, str(ROOT)]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    size = int(docker("image", "inspect", "--format", "{{.Size}}", IMAGE))
    layers = docker("history", "--format", "{{.Size}} {{.CreatedBy}}", IMAGE).splitlines()
    own = next(line.split()[0] for line in layers if "COPY /opt/spp" in line)
    print(f"      {size / 1e6:.0f} MB, of which {own} are not its base's")
    tools = "import shutil; print([t for t in ('pip', 'pip3', 'gcc', 'cc', 'make') if shutil.which(t)])"
    require(docker("run", "--rm", IMAGE, "python", "-c", tools).strip() == "[]", "no pip and no build tools in it")
    require(docker("run", "--rm", IMAGE, "id", "-u").strip() == "10001", "it runs as user 10001")


@contextmanager
def project(folder: Path, stand_ins: bool, *profile: str, **settings: str) -> Iterator[Compose]:
    """Everything up and healthy; taken away with its volumes at the end."""
    compose = Compose(folder, **(STAND_INS if stand_ins else {}), **settings)
    try:
        compose(*profile, "up", "--detach", "--no-build")
        compose.wait_healthy("postgres", "valkey", *OURS)
        print("Up")
        require(True, "all containers are healthy")
        yield compose
    finally:
        compose("--profile", "rabbitmq", "--profile", "monitoring", "down", "--volumes", "--timeout", "45")


def first_start(compose: Compose) -> None:
    """The first admin, a sign-up on the command line and one by the API with a token from the console, paid dues."""
    print("First start")
    compose.spp("doctor")
    require(True, "`spp doctor` finds nothing wrong")
    compose.spp("demo-data")
    compose.spp("user", "add", ADMIN, "--name", "Root", "--role", "admin", "--password-stdin", stdin=PASSWORD + "\n")
    printed = sign_up_dan(compose)
    require("is signed up" in printed, "signed up by `spp`")
    sign_up_by_api(compose)
    compose.spp("send", ENDPOINT, "--sample", "paid", "--member", "dan@example.com")
    compose.spp("send", ENDPOINT, "--sample", "paid", "--member", "eve@example.com")
    until(lambda: compose.sql("SELECT count(*) FROM credit_grants") == [["4"]], "signed webhooks became sessions")
    address = f"http://127.0.0.1:{compose.port}/webhooks/{ENDPOINT}"
    answer = subprocess.run(
        ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-d", "{}", address], capture_output=True
    )
    require(answer.stdout == b"400", "an unsigned one is refused at the published port")


def sign_up_dan(compose: Compose) -> str:
    """The member whose dues the stream pays; what the command printed."""
    wanted = "--member dan@example.com --name Dan --club Riverside --term Monthly --pick Yoga"
    names = ("--offer", "All In", "--pick", "Personal Training", "--billing", f"{ENDPOINT}:{SUBSCRIPTION}")
    return compose.spp("sign-up", *wanted.split(), *names)


def sign_up_by_api(compose: Compose) -> None:
    """As the scheduler does it: an admin makes a token in the console, and the API takes the sign-up."""
    address = f"http://127.0.0.1:{compose.console_port}"
    browser = build_opener(HTTPCookieProcessor(CookieJar()))

    def fill(path: str, **fields: str) -> str:
        page = browser.open(address + path, timeout=15).read().decode()
        found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
        body = urlencode({"csrf_token": found[1] if found else "", **fields}).encode()
        return str(browser.open(address + path, body, timeout=15).read(), "utf-8")

    fill("/login", email=ADMIN, password=PASSWORD)
    token = re.search(r"spp_[\w-]+", fill("/tokens/new", name="Scheduler", scope="write"))
    require(token, "logged in to the console and made an API token")
    picks = compose.sql("SELECT id FROM items WHERE name IN ('Personal Training', 'Spin')")
    wish = f"""{{"email": "eve@example.com", "name": "Eve", "club_id": 1, "payment_term_id": 1,
        "item_ids": [{", ".join(row[0] for row in picks)}],
        "billing_references": [{{"endpoint": "{ENDPOINT}", "reference": "sub_eve"}}]}}"""
    headers = {
        "Authorization": f"Bearer {token[0] if token else ''}",
        "Content-Type": "application/json",
        "Idempotency-Key": "1",
    }
    with urlopen(Request(f"{address}/api/v1/memberships", wish.encode(), headers), timeout=15) as answer:
        require(answer.status == 201, "signed up by the JSON API")


def kills(compose: Compose) -> set[str]:
    """Each container's process is killed in the middle of a stream; the engine starts it again.

    Returns the payments acknowledged so far.
    """
    acknowledged: set[str] = set()
    for service in ("webhooks", "worker", "beat", "console", "valkey", "postgres"):
        print(f"kill -9 {service}")
        with Stream(compose.port) as stream:
            time.sleep(2)
            kill(compose, service)
            time.sleep(2)
            compose.wait_healthy(service)
        acknowledged |= stream.acknowledged
        require_credited_once(compose, acknowledged, GRANTS_EACH)
    print("kill -9 all of them at once, then down and up again")
    with Stream(compose.port) as stream:
        time.sleep(1)
        for service in ("postgres", "valkey", *OURS):
            kill(compose, service)
        time.sleep(2)
        compose.wait_healthy("postgres", "valkey", *OURS)
    acknowledged |= stream.acknowledged
    compose("down", "--timeout", "45")
    compose("up", "--detach", "--no-build")
    compose.wait_healthy("postgres", "valkey", *OURS)
    require_credited_once(compose, acknowledged, GRANTS_EACH)
    compose.spp("audit")
    require(True, "`spp audit` finds nothing wrong")
    return acknowledged


def kill(compose: Compose, service: str) -> None:
    """SIGKILL from outside, as a crash: after `docker kill` the engine would leave it dead."""
    for container in compose.containers(service):
        os.kill(int(str(compose.state(container)["Pid"])), signal.SIGKILL)


def scale_and_stop(compose: Compose, acknowledged: set[str]) -> None:
    """Three workers share the work, and everything stops in order well within its grace."""
    print("--scale worker=3")
    compose("up", "--detach", "--no-build", "--scale", "worker=3")
    compose.wait_healthy("worker")
    require(len(compose.containers("worker")) == 3, "three healthy workers")
    with Stream(compose.port) as stream:
        time.sleep(3)
        for service in ("worker", "webhooks", "beat", "console"):
            began = time.monotonic()
            ids = compose.containers(service)
            docker("stop", "--time", "45", *ids)
            codes = [compose.state(one)["ExitCode"] for one in ids]
            took = time.monotonic() - began
            require(137 not in codes and took < 45, f"{service} stops by itself under load: {took:.1f} s, exit {codes}")
            docker("start", *ids)
        compose.wait_healthy(*OURS)
    require_credited_once(compose, acknowledged | stream.acknowledged, GRANTS_EACH)


def point_in_time(compose: Compose) -> None:
    """Archive, base backup, a mistake, and back to the moment before it, as docs/operations.md has it."""
    print("Point in time")
    for folder in ("wal", "base"):
        (compose.backup / folder).mkdir()
    owner = int(compose("run", "--rm", "-T", "--no-deps", "postgres", "id", "-u"))
    for path in (compose.backup, *compose.backup.iterdir()):
        os.chown(path, owner, owner)
    compose.run("postgres", "psql", "-U", "spp", stdin=(ROOT / "deploy" / "archive.sql").read_text())
    compose("restart", "postgres")
    compose.wait_healthy("postgres")
    compose.run("postgres", "pg_basebackup", "-U", "spp", "-D", "/backup/base/1", "--checkpoint=fast")
    compose.spp("adjust", "eve@example.com", "Spin", "1", "--reason", "goodwill", "--note", "The class was cancelled")
    ledger = "SELECT count(*), (SELECT count(*) FROM actions) FROM ledger_entries"
    before = compose.sql(ledger)
    [[moment]] = compose.sql("SELECT clock_timestamp()")
    time.sleep(1)
    compose.sql("DROP TABLE billing_references CASCADE")
    compose.sql("SELECT pg_switch_wal()")
    compose("stop", "--timeout", "45")
    restore = (
        "mv $PGDATA $PGDATA.mistaken && cp -a /backup/base/1 $PGDATA &&"
        " cat >> $PGDATA/postgresql.auto.conf && touch $PGDATA/recovery.signal"
    )
    settings = (
        "restore_command = 'cp /backup/wal/%f %p'\n"
        f"recovery_target_time = '{moment}'\nrecovery_target_action = promote\n"
    )
    compose("run", "--rm", "-T", "--no-deps", "postgres", "sh", "-c", restore, stdin=settings)
    compose("up", "--detach", "--no-build", "postgres")
    compose.wait_healthy("postgres")
    until(
        lambda: compose.sql("SELECT pg_is_in_recovery()") == [["f"]], "PostgreSQL is at the moment before the mistake"
    )
    require(compose.sql(ledger) == before, "what came between the base backup and that moment is there")
    compose("up", "--detach", "--no-build")
    compose.wait_healthy(*OURS)
    compose.spp("audit")
    require(True, "`spp audit` finds nothing wrong")


def inside(compose: Compose) -> None:
    """What the containers may do, and what the engine tells about them."""
    print("Inside")
    secrets = [
        SECRET,
        *(file.read_text() for file in compose.secrets.iterdir() if file.is_file()),
    ]
    for service in ("postgres", "valkey", *OURS):
        container = compose.containers(service)[0]
        told = docker("inspect", container) + docker(
            "history", "--no-trunc", docker("inspect", "-f", "{{.Image}}", container).strip()
        )
        require(
            not any(secret in told for secret in secrets),
            f"{service}: no secret in `docker inspect` or its image's history",
        )
        status = compose.run(service, "cat", "/proc/1/status")
        uid, rights = re.search(r"Uid:\s+(\d+)", status), re.search(r"CapEff:\s+(\w+)", status)
        require(uid and uid[1] != "0" and rights and int(rights[1], 16) == 0, f"{service}: not root, no capability")
        require("NoNewPrivs:\t1" in status, f"{service}: no new privileges")
        written = compose.run(
            service, "sh", "-c", "touch /etc/x /usr/x /opt/x 2>/dev/null; ls /etc/x /usr/x /opt/x 2>/dev/null; true"
        )
        require(not written.strip(), f"{service}: its root file system is read-only")
    separate(compose)
    published = [
        line
        for line in docker("ps", "--format", "{{.Names}} {{.Ports}}").splitlines()
        if "->" in line and "spp-proof" in line
    ]
    require(
        len(published) == 2 and all(re.search("webhooks|console", line) for line in published),
        "only webhooks and console are published",
    )


AS_ROLE = """
from models.database.engine import make_engine
from runtime import settings
with make_engine(settings.load(settings.DatabaseRole.{}).database_url).connect() as connection:
    print(connection.exec_driver_sql("SELECT current_user").scalar())
    try:
        print(connection.exec_driver_sql("{}").rowcount)
    except Exception as error:
        print(type(error.orig).__name__)
"""


def separate(compose: Compose) -> None:
    """Each service sees its own secrets, and logs in to database and broker as what it is."""
    for service, role, may_not in (
        ("webhooks", "WEB", "SELECT FROM members"),
        ("console", "CONSOLE", "INSERT INTO payment_facts DEFAULT VALUES"),
        ("worker", "WORKER", "SELECT FROM staff"),
    ):
        seen = set(compose.run(service, "ls", "/run/secrets/spp").split())
        others = {file.name for file in compose.secrets.iterdir() if file.is_file()} - seen
        require({"postgres.password", "grafana.password"} <= others, f"{service}: sees {len(seen)} secrets of its own")
        user, outcome = compose.run(service, "python", "-c", AS_ROLE.format(role, may_not)).split()
        require((user, outcome) == (f"spp_{role.lower()}", "InsufficientPrivilege"), f"{service}: is {user}")
    require(compose.run("beat", "ls", "/run/secrets/spp").split() == ["broker.password"], "beat: sees one secret")
    told = compose.run("valkey", "sh", "-c", "valkey-cli ping 2>&1; true")
    require("NOAUTH" in told, "the broker asks for its password")


def monitoring(compose: Compose, *, grafana: bool) -> None:
    """Prometheus scrapes both web processes with the token; Grafana has its dashboard, where it can be had."""
    print("--profile monitoring")
    services = ["prometheus", *(["grafana"] if grafana else [])]
    compose("--profile", "monitoring", "up", "--detach", "--no-build", "--no-deps", *services)
    compose.wait_healthy(*services)
    ask = "from urllib.request import urlopen; print(urlopen('http://prometheus:9090/api/v1/query?query=up').read().decode())"
    until(
        lambda: compose.run("console", "python", "-c", ask).count(',"1"]') >= 2,
        "Prometheus scrapes webhooks and console",
    )


def rabbitmq(compose: Compose) -> None:
    """The same on RabbitMQ: credited by rings, and the broker's death harms nothing."""
    print("BROKER_URL=amqp://...")
    compose.wait_healthy("rabbitmq")
    compose.spp("demo-data")
    sign_up_dan(compose)
    with Stream(compose.port) as stream:
        time.sleep(3)
        kill(compose, "rabbitmq")
        time.sleep(3)
        compose.wait_healthy("rabbitmq", *OURS)
    require_credited_once(compose, stream.acknowledged, GRANTS_EACH)
    listed = compose.run("rabbitmq", "rabbitmqctl", "--quiet", "list_queues", "name", "consumers")
    require(re.search(r"events\s+[1-9]", listed), "the worker listens to RabbitMQ again")


def until(holds: object, what: str, seconds: float = 60) -> None:
    """Waits until `holds()`. Raises NotProven."""
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:  # type: ignore[operator]
        time.sleep(0.5)
    require(holds(), what)  # type: ignore[operator]


if __name__ == "__main__":
    main()
