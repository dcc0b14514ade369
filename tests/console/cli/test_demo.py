"""The demo agrees with itself; its independent count agrees with ours; and it notices a broken rule."""

import shutil
from pathlib import Path

import pytest

from local import demo_members as demo
from local.stack import ROOT
from tests.console.processes import spp

BY_HAND = {
    "pays every month": (4, 16, 0),
    "same payment under other event ids": (4, 8, 0),
    "refund before its payment": (0, 0, 0),
    "half refunded": (2, 4, 0),
    "refund failed": (4, 8, 0),
    "dispute lost": (0, 0, 0),
    "dispute won": (4, 8, 0),
    "used, then refunded, then pays again": (1, 8, 0),
    "zero-amount invoice": (0, 0, 0),
    "paid while unknown, signs up later": (4, 8, 0),
    "webhook came 45 days late: protected": (4, 8, 0),
}
"""Plot -> usable training, usable classes, training owed, when the story is over."""

RULE = "int(sum(one.quantity for one in tranches) * share)"


def test_the_demos_count_is_what_we_count_by_hand() -> None:
    people = demo.people()
    for person in people:
        if person.plot.startswith("used"):
            # Three sessions used, the payment refunded whole, and the next dues paid.
            person.used = 3
            person.payments[0].returned_minor = demo.DUES
            person.payments.append(demo.Paid(0))
        assert person.expected() == BY_HAND[person.plot], person.plot
    assert {person.plot for person in people} == set(BY_HAND)


@pytest.mark.parametrize(
    ("person", "expected"),
    [
        (demo.Person("", "", [demo.Paid(31)]), (0, 8, 0)),
        (demo.Person("", "", [demo.Paid(5, demo.DUES)], used=3), (0, 0, 3)),
        (demo.Person("", "", [demo.Paid(5), demo.Paid(4, demo.DUES // 3)]), (7, 14, 0)),
    ],
    ids=["expired", "used and refunded", "a third refunded"],
)
def test_the_demos_count_of_other_stories(person: demo.Person, expected: tuple[int, int, int]) -> None:
    assert person.expected() == expected


def test_the_demo_tells_its_story_and_agrees() -> None:
    done = spp("demo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All 94 members' balances agree with the independent count." in done.stdout
    assert "a forged and a stale one, answered: 2 x 400" in done.stdout
    assert " NO" not in done.stdout
    for plot in BY_HAND:
        assert plot in done.stdout


def test_the_demo_fails_where_a_rule_is_broken(tmp_path: Path) -> None:
    """In a copy of the code, refunds take nothing back."""
    tree = tmp_path / "tree"
    for folder in ("runtime", "models", "serving", "webhooks", "worker", "console", "local"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__"))
    rules = tree / "models" / "payments" / "entitlement.py"
    assert rules.read_text().count(RULE) == 1
    rules.write_text(rules.read_text().replace(RULE, "0"))
    done = spp("demo", tree=tree)
    assert done.returncode == 1, done.stdout
    assert done.stderr == "Error: The balances do not agree.\n"
    wrong = {line.strip().split("  ")[0] for line in done.stdout.splitlines() if line.endswith(" NO")}
    assert wrong == {
        "refund before its payment",
        "half refunded",
        "dispute lost",
        "used, then refunded, then pays again",
        "a year, of which a quarter went back",
    }
