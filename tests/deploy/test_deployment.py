"""What the image holds and what the containers are told, read from their files; deploy/proof runs them for real."""

import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from runtime.settings import BROKER_PASSWORD, DATABASE_PASSWORD, DatabaseRole, Settings, load
from serving.server import Limits

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("migrate", "webhooks", "console", "worker", "beat")
"""The services that go on, and the one before them; `spp` is for commands by hand."""
SEES = {
    "migrate": {"postgres.password", "postgres.web.password", "postgres.worker.password", "postgres.console.password"},
    "webhooks": {"postgres.web.password", "broker.password", "metrics.token", "stripe", "old-stripe"},
    "worker": {"postgres.worker.password", "broker.password", "stripe.api"},
    "beat": {"broker.password"},
    "console": {
        "postgres.console.password",
        "broker.password",
        "console.secret",
        "metrics.token",
        "alert.secret",
        "smtp.url",
    },
}
SECRET_FIELDS = {"database_url", "broker_url", "console_secret"}


def test_everything_that_is_installed_comes_into_the_image() -> None:
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    let_in = (ROOT / ".dockerignore").read_text().split()
    assert {f"!{name.partition('.')[0]}" for name in tool["packages"]} <= {*let_in}


def test_every_setting_reaches_the_containers() -> None:
    told = {*COMPOSE["x-app"]["environment"]}
    assert {f"SPP_{name.upper()}" for name in Settings.model_fields.keys() - SECRET_FIELDS} <= told


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_may_do_little_and_is_started_again_and_watched(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] in ("unless-stopped", "on-failure") or name == "spp"
    assert service["stop_grace_period"] == "45s"
    assert service["mem_limit"]
    assert service.get("healthcheck") or name == "webhooks", "the image's own is that of webhooks"


@pytest.mark.parametrize("name", ["postgres", "valkey", "rabbitmq", "prometheus", "migrate", "beat"])
def test_what_nobody_outside_needs_is_on_the_inner_network_alone(name: str) -> None:
    assert SERVICES[name]["networks"] == ["inside"]
    assert "ports" not in SERVICES[name]
    assert COMPOSE["networks"]["inside"]["internal"] is True


def test_nothing_is_open_to_other_machines() -> None:
    ports = {name: port for name, service in SERVICES.items() for port in service.get("ports", ())}
    assert ports.keys() >= {"webhooks", "console"}
    assert {port.partition(":")[0] for port in ports.values()} == {"127.0.0.1"}


def test_granian_is_started_with_our_limits_everywhere() -> None:
    """Its own command would let HTTP/2 in, and slow bodies hold its threads; only the bench measures it."""
    named = subprocess.run(["git", "grep", "-lw", "granian"], cwd=ROOT, capture_output=True, text=True, check=False)
    if named.returncode:
        pytest.skip("this is no clone")
    files = {name for name in named.stdout.split() if not name.startswith(("docs/", "tests/"))}
    assert files <= {"bench/peers.py", "pyproject.toml", "requirements.lock", "serving/server.py", "README.md"}


def test_no_secret_is_a_variable() -> None:
    told = [name for service in SERVICES.values() for name in service.get("environment", {})]
    assert not [
        name for name in told if re.search("PASSWORD|SECRET|TOKEN", name) and not re.search("_FILE$|_DIR$", name)
    ]


def test_mounted_files_of_ours_exist() -> None:
    mounts = [volume for service in SERVICES.values() for volume in service.get("volumes", ())]
    named = [ROOT / mount.split(":")[0] for mount in mounts if mount.startswith("./")]
    assert named
    assert not [path for path in named if not path.exists()]


def files(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of secrets, as an installation has it after its first start."""
    folder = tmp_path / "secrets"
    make_secrets(folder)
    for name in ("stripe", "old-stripe", "stripe.api", "alert.secret", "smtp.url"):
        (folder / name).write_text(f"of {name}")
    make_secrets(folder)
    return folder


def make_secrets(folder: Path) -> None:
    environment = {**os.environ, "SPP_UID": str(os.getuid())}
    subprocess.run([ROOT / "deploy" / "secrets.sh", folder], check=True, env=environment)


def test_secrets_are_made_once_and_for_nobody_else_to_read(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    make_secrets(folder)
    made = files(folder)
    (folder / "stripe").write_text("whsec_1")
    make_secrets(folder)
    assert files(folder) == {**made, "stripe": "whsec_1"}
    assert {Path(secret["file"]).name for secret in COMPOSE["secrets"].values()} <= {*made}
    assert len({*made.values()}) == len(made)
    assert min(len(text) for text in made.values()) >= 32
    assert {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()} == {0o440}
    assert {path.stat().st_mode & 0o777 for path in (folder, *folder.glob(".*"))} == {0o750}


@pytest.mark.parametrize("service", SEES)
def test_a_service_sees_its_own_secrets_alone(folder: Path, service: str) -> None:
    assert SERVICES[service]["volumes"] == [f"${{SPP_SECRETS:-./secrets}}/.{service}:/run/secrets/spp:ro"]
    assert not SERVICES[service].get("secrets")
    assert files(folder / f".{service}") == {name: files(folder)[name] for name in SEES[service]}


@pytest.mark.parametrize(
    ("service", "role"),
    [
        ("migrate", None),
        ("webhooks", DatabaseRole.WEB),
        ("worker", DatabaseRole.WORKER),
        ("beat", DatabaseRole.WORKER),
        ("console", DatabaseRole.CONSOLE),
    ],
)
def test_a_service_starts_with_its_own_secrets(
    folder: Path, monkeypatch: pytest.MonkeyPatch, service: str, role: DatabaseRole | None
) -> None:
    for name in [name for name in os.environ if name.startswith("SPP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DATABASE_URL", "postgresql://spp@postgres/spp")
    monkeypatch.setenv("BROKER_URL", "redis://valkey:6379/0")
    monkeypatch.setenv("SPP_DATABASE_ROLES", "spp")
    monkeypatch.setenv("SPP_ENDPOINTS", "stripe=stripe:live old-stripe=stripe:live")
    monkeypatch.setenv("SPP_SECRETS_DIR", str(folder / f".{service}"))
    assert load(role, receives=service != "migrate").endpoints


def test_what_is_changed_and_taken_away_is_so_for_the_services(folder: Path) -> None:
    was = folder / ".webhooks"
    identity = was.stat().st_ino
    (folder / "old-stripe").unlink()
    (folder / "stripe").unlink()
    (folder / "stripe").write_text("new")
    make_secrets(folder)
    assert files(was).keys() == SEES["webhooks"] - {"old-stripe"}
    assert files(was)["stripe"] == "new"
    assert was.stat().st_ino == identity, "the folder is the one that is mounted"


def test_every_role_of_the_database_has_a_password_where_its_process_runs_and_where_it_is_made() -> None:
    runs = {DatabaseRole.WEB: "webhooks", DatabaseRole.WORKER: "worker", DatabaseRole.CONSOLE: "console"}
    for role in DatabaseRole:
        _, file = role.password
        assert {service for service, seen in SEES.items() if file in seen} == {"migrate", runs[role]}
    assert {service for service, seen in SEES.items() if DATABASE_PASSWORD[1] in seen} == {"migrate"}
    assert COMPOSE["x-app"]["environment"]["SPP_DATABASE_ROLES"] == "${SPP_DATABASE_ROLES-spp}"


def test_the_units_see_what_the_containers_see(folder: Path, tmp_path: Path) -> None:
    units = tmp_path / "units"
    units.mkdir()
    variables = {**os.environ, "UNITS_DIR": str(units), "SECRETS_DIR": str(folder)}
    subprocess.run([ROOT / "deploy" / "systemd" / "install.sh"], check=True, env=variables)
    for service in SEES.keys() - {"migrate"}:
        unit = "spp-worker@" if service == "worker" else f"spp-{service}"
        given = (units / f"{unit}.service.d" / "secrets.conf").read_text()
        assert set(re.findall(r"^LoadCredential=([^:]+):", given, re.MULTILINE)) == SEES[service]
        assert set(re.findall(r":(.+)$", given, re.MULTILINE)) == {str(folder / name) for name in SEES[service]}


def test_the_broker_asks_for_a_password_that_stands_in_no_command() -> None:
    started = " ".join(SERVICES["valkey"]["command"])
    assert f"requirepass $$(cat /run/secrets/{BROKER_PASSWORD[1]})" in started
    assert SERVICES["valkey"]["secrets"] == [BROKER_PASSWORD[1]]
    assert all(BROKER_PASSWORD[1] in SEES[service] for service in ("webhooks", "worker", "beat", "console"))


@pytest.mark.parametrize("name", ["webhooks", "console"])
def test_systemd_watches_over_what_tells_it_that_it_lives(name: str) -> None:
    lines = (ROOT / "deploy" / "systemd" / f"spp-{name}.service").read_text().splitlines()
    assert {"Type=notify", "NotifyAccess=all"} <= {*lines}
    [seconds] = [int(line.partition("=")[2]) for line in lines if line.startswith("WatchdogSec=")]
    assert seconds > Limits().hung_after_s, "it ends itself first, and says where it hung"


def test_the_units_start_what_compose_starts() -> None:
    units = {path.name: path.read_text() for path in (ROOT / "deploy" / "systemd").glob("*.service")}
    for app in ("spp-serve webhooks", "spp-serve console", "worker.app worker", "worker.app beat"):
        assert sum(app in text for text in units.values()) == 1
        assert any(app in " ".join(SERVICES[name]["command"]) for name in OURS)
