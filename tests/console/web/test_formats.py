"""How pages show things."""

from datetime import UTC, datetime

import pytest

from console.web.formats import clock, seconds, who, zone_name


@pytest.mark.parametrize(
    ("value", "said"), [(None, "\u2013"), (0.0304, "30 ms"), (1.24, "1.2 s"), (12.9, "12 s"), (300, "5 min")]
)
def test_how_long_something_took_is_told_in_a_unit_that_fits(value: float | None, said: str) -> None:
    assert seconds(value) == said


def test_a_moment_of_today_is_told_by_the_clock_of_the_zone() -> None:
    assert clock(datetime(2026, 7, 1, 21, 5, 9, tzinfo=UTC), "America/Chicago").replace("\u202f", " ") == "4:05:09 PM"


def test_an_api_token_is_called_by_its_name_and_owner() -> None:
    assert who("token 3 (Front (door)) of desk@example.com") == "Front (door) (API token of desk@example.com)"
    assert who("desk@example.com") == "desk@example.com"


def test_a_zone_is_told_by_its_name() -> None:
    assert [zone_name(zone) for zone in ("America/Chicago", "UTC")] == ["Central Time", "UTC"]
