"""docs/operations.md names only what there is: commands, settings, files."""

import re
from pathlib import Path

import click
import pytest

from console.cli.command import Lazy, spp
from models.operations.alarms import RULES
from runtime.settings import ALERT_SECRET, METRICS_TOKEN, SMTP_URL, Settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text()
# Read by others than Settings: by compose and the units, and the folder of embedded servers.
NOT_SETTINGS = {"SPP_BACKUP", "SPP_OPERATOR", "SPP_WEB_WORKERS", "SPP_WORKER_CONCURRENCY", "SPP_UID"}

COMMANDS = sorted(set(re.findall(r"(?<![\w/.-])spp ((?:[a-z][a-z-]*)(?: [a-z][a-z-]*)*(?: --[a-z-]+)*)", PAGE)))


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_and_its_options_exist(words: str) -> None:
    command: click.Command = spp
    for word in words.split():
        if word.startswith("--"):
            assert word in {name for option in command.params for name in option.opts}
        elif isinstance(command, click.Group):
            assert word in command.commands, f"there is no `spp {words}`"
            command = command.commands[word]
            command = command.load() if isinstance(command, Lazy) else command


def test_every_setting_exists() -> None:
    secrets = {METRICS_TOKEN[0], ALERT_SECRET[0], SMTP_URL[0]}
    known = {f"SPP_{name.upper()}" for name in Settings.model_fields} | secrets | NOT_SETTINGS
    assert set(re.findall(r"SPP_[A-Z_]+[A-Z]", PAGE)) <= known


def test_every_file_exists() -> None:
    named = set(re.findall(r"deploy/[\w./-]*\w", PAGE)) | {
        f"docs/{name}" for name in re.findall(r"\]\((\w+\.md)", PAGE)
    }
    assert not [name for name in named if not (ROOT / name).exists()]
    modules = re.findall(r"python3? -m ([\w.]+)", PAGE)
    assert modules
    assert not [name for name in modules if name != "venv" and not (ROOT / (name.replace(".", "/") + ".py")).exists()]


def test_every_target_of_make_exists() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"make (\w+)`", PAGE)) <= targets


def test_every_place_in_the_page_that_it_links_to_exists() -> None:
    headings = re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)
    places = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([\w-]+)\)", PAGE)) <= places


def test_every_alert_is_explained() -> None:
    assert set(re.findall(r"^### (\w+)$", PAGE, re.MULTILINE)) >= set(RULES)
