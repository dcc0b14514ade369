"""Times as commands take them: a day, or a time with an offset or in UTC."""

from datetime import UTC, datetime

import click
import pytest

from console.cli.moments import MOMENT
from tests.console.conftest import Spp


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01T15:04", datetime(2026, 3, 1, 15, 4, tzinfo=UTC)),
        ("2026-03-01T15:04:05", datetime(2026, 3, 1, 15, 4, 5, tzinfo=UTC)),
        ("2026-03-01T15:04:05Z", datetime(2026, 3, 1, 15, 4, 5, tzinfo=UTC)),
        ("2026-03-01T15:04:05z", datetime(2026, 3, 1, 15, 4, 5, tzinfo=UTC)),
        ("2026-03-01 15:04:05.25-06:00", datetime(2026, 3, 1, 21, 4, 5, 250_000, tzinfo=UTC)),
        ("2026-03-01T00:30:00+05:30", datetime(2026, 2, 28, 19, 0, tzinfo=UTC)),
    ],
)
def test_a_day_or_a_time_in_utc_or_with_its_offset(given: str, meant: datetime) -> None:
    assert MOMENT.convert(given, None, None) == meant
    assert MOMENT.convert(meant, None, None) is meant


@pytest.mark.parametrize(
    "given",
    [
        "",
        "now",
        "yesterday",
        "2026",
        "2026-3-1",
        "20260301",
        "2026-W09-7",
        "2026-02-30",
        "1700000000",
        "2026-03-01T25:00:00",
        "2026-03-01T15:04:05 -06:00",
        "2026-03-01T15:04:05-6",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "2026-03-01T15:04:05-06:00x",
        "\N{ARABIC-INDIC DIGIT TWO}026-03-01",
    ],
)
def test_what_is_neither_is_refused(given: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a time"):
        MOMENT.convert(given, None, None)


@pytest.mark.parametrize(
    "arguments",
    [
        ("member", "ann@example.com", "--as-of"),
        ("expire", "--as-of"),
        ("events", "--since"),
        ("events", "--until"),
        ("replay", "--until"),
        ("reconcile", "--since"),
        ("reconcile", "--until"),
    ],
    ids=" ".join,
)
def test_every_command_takes_the_same_times(gym: Spp, arguments: tuple[str, ...]) -> None:
    wrong = gym(*arguments, "yesterday")
    assert wrong.code == 2
    assert "'yesterday' is not a time" in wrong.err
    dry = ("--dry-run",) if arguments[0] in {"replay", "reconcile"} else ()
    for given in ("2020-01-31", "2020-01-31T23:59:59", "2020-01-31T23:59:59-06:00"):
        done = gym(*arguments, given, *dry)
        assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize("command", ["adjust", "extend"])
def test_a_day_is_called_so_in_help(spp: Spp, command: str) -> None:
    shown = spp(command, "--help").out
    assert " DAY" in shown
    assert "%Y" not in shown
