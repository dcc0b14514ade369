"""What `spp member` tells of sessions that are not usable yet."""

from datetime import date

import pytest

from runtime.settings import Settings
from tests.console.conftest import Spp
from tests.worker.scene import Make, arrive, paid_now, run, value
from worker.crediting import Crediting

DORA = "dora@example.com"


@pytest.fixture
def dora(gym: Spp, settings: Settings, make: Make) -> Spp:
    """Dora has paid for a year: 8 group classes now, and 8 in each of the eleven months that follow."""
    run(make, "UPDATE payment_terms SET interval = 'year', release = 'monthly'")
    who = ("--member", DORA, "--name", "Dora", "--club", "Riverside", "--offer", "All In", "--term", "Monthly")
    signed_up = gym("sign-up", *who, "--pick", "Group Class", "--pick", "Personal Training")
    assert signed_up.code == 0
    run(make, "INSERT INTO billing_references SELECT 'stripe', 'sub_dora', max(id) FROM memberships")
    arrive(make, paid_now("in_1", "sub_dora"))
    assert Crediting(settings, make).drain() == 1
    return gym


def test_what_is_coming_stands_beside_what_is_usable(dora: Spp, make: Make) -> None:
    next_day = value(
        make, "SELECT min(effective_at AT TIME ZONE 'America/Chicago')::date FROM credit_grants WHERE tranche > 0"
    )
    told = dora("member", DORA, "--json").json
    classes = next(row for row in told["balances"] if row["item"] == "Group Class")
    assert (classes["usable"], classes["coming"]) == (8, 88)
    assert [day["sessions"] for day in classes["coming_days"]] == [8] * 11
    assert classes["coming_days"][0]["day"] == str(next_day)
    assert f"88 coming, next 8 on {next_day}" in dora("member", DORA).out


def test_each_grant_and_entry_has_its_day(dora: Spp) -> None:
    told = dora("member", DORA, "--json").json
    grants = [row for row in told["grants"] if row["item"] == "Group Class"]
    assert [row["is_coming"] for row in grants] == [False] + [True] * 11
    assert grants[0]["usable_from"] is None
    numbers = [int(date.fromisoformat(row["usable_from"]).strftime("%Y%m%d")) for row in grants[1:]]
    assert numbers == [row["tranche"] for row in grants[1:]]
    entries = [row for row in told["entries"] if row["item"] == "Group Class"]
    assert [row["usable_from"] for row in entries] == [row["usable_from"] for row in grants]


def test_a_redemption_of_more_than_is_usable_says_what_is_coming(dora: Spp) -> None:
    refused = dora("redeem", DORA, "Group Class", "9")
    assert refused.code == 1
    assert "9 Group Class sessions asked for, 8 usable (88 coming, the next on " in refused.err
