"""How a life is said: until when it is frozen, and what is to come."""

from datetime import date, timedelta

import pytest

from models.catalogue.days import OPEN, DayRange
from models.members.lives import Life

TODAY = date(2027, 1, 10)


def days(first: int, last: int) -> DayRange:
    """Two days of January 2027."""
    return date(2027, 1, first), date(2027, 1, last)


@pytest.mark.parametrize(
    ("frozen", "until"),
    [
        ([], None),
        ([days(1, 9)], None),
        ([days(11, 12)], None),
        ([days(10, 10)], date(2027, 1, 10)),
        ([days(1, 16)], date(2027, 1, 16)),
        ([days(8, 12), days(1, 20)], date(2027, 1, 20)),
        ([days(13, 15), days(8, 12)], date(2027, 1, 15)),
        ([days(14, 15), days(8, 12)], date(2027, 1, 12)),
        ([days(8, 12), (date(2027, 1, 12), OPEN), days(20, 25)], OPEN),
    ],
)
def test_it_is_frozen_without_a_break_until(frozen: list[DayRange], until: date | None) -> None:
    life = Life(tuple(frozen))
    assert life.frozen_until(TODAY) == until
    assert life.is_frozen(TODAY) == (until is not None)


@pytest.mark.parametrize(
    ("life", "said"),
    [
        (Life(), []),
        (Life((days(1, 16),)), ["Frozen until Jan 16, 2027"]),
        (Life(((date(2027, 1, 1), OPEN),)), ["Frozen until further notice"]),
        (Life((days(20, 22), days(12, 13), days(1, 2))), ["Frozen from Jan 12, 2027 to Jan 13, 2027"]),
        (Life(((date(2027, 1, 12), OPEN),)), ["Frozen from Jan 12, 2027 on"]),
        (Life(ended=TODAY), ["Ends on Jan 10, 2027"]),
        (Life(ended=TODAY - timedelta(days=1)), ["Ended on Jan 9, 2027"]),
        (Life((days(1, 16),), ended=date(2027, 1, 31)), ["Frozen until Jan 16, 2027", "Ends on Jan 31, 2027"]),
    ],
)
def test_what_counts_now_and_comes_next(life: Life, said: list[str]) -> None:
    assert life.words(TODAY) == said
