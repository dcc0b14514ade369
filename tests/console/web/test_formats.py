"""How pages show things."""

from datetime import UTC, datetime

from console.web.formats import clock, who, zone_name


def test_a_moment_of_today_is_told_by_the_clock_of_the_zone() -> None:
    assert (
        clock(datetime(2026, 7, 1, 21, 5, 9, tzinfo=UTC), "America/Chicago").replace("\u202f", " ") == "4:05:09 PM CDT"
    )


def test_an_api_token_is_called_by_its_name_and_owner() -> None:
    assert who("token 3 (Front (door)) of desk@example.com") == "Front (door) (API token of desk@example.com)"
    assert who("desk@example.com") == "desk@example.com"


def test_a_zone_is_told_by_its_name() -> None:
    assert [zone_name(zone) for zone in ("America/Chicago", "UTC")] == ["Central Time", "UTC"]
