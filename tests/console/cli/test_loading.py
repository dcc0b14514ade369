"""Commands start fast: each loads its own module when it runs, and nothing that the command does not use."""

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from console.cli.command import COMMANDS, Lazy
from tests.console.conftest import Spp

REPOSITORY = Path(__file__).parents[3]
RUN = """
import json, sys
from console.cli.command import main

for arguments in json.loads(sys.argv[1]):
    sys.argv = ["spp", *arguments]
    try:
        main()
    except SystemExit as end:
        assert not end.code, (arguments, end.code)
loaded = {name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names
print(json.dumps(sorted(loaded)))
"""
OTHERS_USE = {
    "alembic",
    "celery",
    "flask",
    "granian",
    "jinja2",
    "kombu",
    "opentelemetry",
    "redis",
    "requests",
    "werkzeug",
    "worker",
}
"""What only servers, or single commands while they run, need."""
WITH_LOGS = {"doctor"}
"""What also loads telemetry, and with it what makes logs."""
ABOUT_STAFF = {"user", "token"}
"""What also loads the hashing of passwords."""


def loaded(*commands: tuple[str, ...], **environment: str) -> set[str]:
    """The packages, other than Python's own, that a process has loaded after it ran these commands."""
    run = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(commands)],
        env={**os.environ, **environment},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return set(json.loads(run.stdout.splitlines()[-1]))


@pytest.mark.parametrize("arguments", [("--help",), ("-h",)])
def test_the_list_of_commands_loads_no_command(arguments: tuple[str, ...]) -> None:
    assert {name for name in loaded(arguments) if not name.startswith("_")} == {"click", "console"}


def test_a_commands_help_loads_nothing_that_only_others_use() -> None:
    plain = [one.name or "" for one in COMMANDS if one.name not in WITH_LOGS | ABOUT_STAFF]
    assert not loaded(*((name, "--help") for name in plain)) & (OTHERS_USE | {"argon2", "structlog", "rich"})
    assert not loaded(*((name, "--help") for name in sorted(ABOUT_STAFF))) & (OTHERS_USE | {"structlog", "rich"})
    assert not loaded(*((name, "--help") for name in sorted(WITH_LOGS))) & (OTHERS_USE - {"requests"})


@pytest.mark.parametrize(
    "arguments", [("status",), ("redeem", "ann@example.com", "Yoga", "--key", "k"), ("member", "ann@example.com")]
)
def test_nor_does_a_command_that_runs(gym: Spp, installed: dict[str, str], arguments: tuple[str, ...]) -> None:
    assert gym("adjust", "ann@example.com", "Yoga", "1", "--reason", "other", "--note", "for the test").code == 0
    assert not loaded(arguments, **installed) & (OTHERS_USE | {"argon2", "structlog", "rich"})


@pytest.mark.parametrize("known", COMMANDS, ids=lambda one: one.name)
def test_what_is_known_of_a_command_is_what_it_says_itself(known: Lazy) -> None:
    command = known.load()
    assert command.name == known.name
    text = " ".join(inspect.cleandoc(command.help or "").split())
    assert text.startswith(known.short_help or "-")
    assert (known.short_help or "").endswith(".")


def test_the_list_of_commands_says_what_each_does(spp: Spp) -> None:
    shown = " ".join(spp("--help").out.split())
    for known in COMMANDS:
        assert f" {known.name} {known.short_help}" in shown
