"""How a membership's terms differ from its offer's, in words."""

from types import SimpleNamespace

import pytest

from models.members.changed_terms import compare, compare_rules
from models.wording import Given


@pytest.mark.parametrize(
    ("pinned", "current", "difference"),
    [
        (Given("Spin", 8, 30), Given("Spin", 8, 30), "The same"),
        (Given("Spin", 0, 0), Given("Spin", 0, 0), "The same"),
        (Given("Spin", 8, 30), Given("Spin", 9, 30), "1 more session"),
        (Given("Spin", 8, 30), Given("Spin", 6, 30), "2 fewer sessions"),
        (Given("Spin", 8, 30), Given("Spin", 8, 1), "1 day instead of 30 days"),
        (Given("Spin", 8, 30), Given("Spin", 8, 0), "never expiring instead of 30 days"),
        (Given("Spin", 8, 0), Given("Spin", 10, 45), "2 more sessions; 45 days instead of never expiring"),
        (Given("Spin", 8, 30), Given("Spin", 0, 0), "8 fewer sessions"),
        (Given("Spin", 0, 0), Given("Spin", 8, 30), "8 more sessions"),
    ],
)
def test_an_item_in_both(pinned: Given, current: Given, difference: str) -> None:
    [line] = compare({1: pinned}, {1: current})
    assert (line.difference, line.differs) == (difference, difference != "The same")


def test_an_item_in_one_of_them() -> None:
    spin, yoga, gone = Given("Spin", 8, 30), Given("Yoga", 5, 0), Given("Aqua", 4, 0)
    lines = compare({1: spin, 3: gone}, {1: spin, 2: yoga})
    assert [(line.item, line.difference, line.differs) for line in lines] == [
        ("Aqua", "Not in the offer any more", True),
        ("Spin", "The same", False),
        ("Yoga", "Not picked", False),
    ]


def test_one_that_gave_nothing_and_is_gone_makes_no_difference() -> None:
    [line] = compare({1: Given("Spin", 0, 0)}, {})
    assert not line.differs


def test_dues_release_and_part_payments_are_compared() -> None:
    rules = {"dues_minor": 8900, "interval": "month", "interval_count": 1, "partial": "proportional"}
    rules |= {"frozen_dues": "nothing", "on_end": "keep", "on_end_days": None}
    pinned = SimpleNamespace(**rules, release="at_once", release_times=None)
    changed = {"dues_minor": 9900, "partial": "none", "frozen_dues": "full", "on_end": "days", "on_end_days": 7}
    current = SimpleNamespace(**rules | changed, release="times", release_times=4)
    assert [tuple(row) for row in compare_rules(pinned, current, "USD")] == [
        ("Dues", "$89.00 every month", "$99.00 every month"),
        ("Release", "At once", "4 times"),
        ("Part payments", "Proportional", "None"),
        ("Dues while frozen", "Nothing: it is the fee of the freeze", "As at any other time"),
        (
            "When it ends",
            "Usable until their own day",
            "Usable for 7 days after the last day of the membership",
        ),
    ]
    assert [row.difference for row in compare_rules(pinned, current, "USD")] == ["Changed"] * 5
    assert [row.difference for row in compare_rules(pinned, pinned, "USD")] == ["The same"] * 5
