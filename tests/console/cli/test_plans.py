"""change-plan: one membership's, or all that are not on the current terms of an offer."""

from datetime import UTC, datetime, timedelta

import pytest

from models.wording import day_of
from tests.console.conftest import Spp
from tests.worker.scene import Make, run, value

ANN = "ann@example.com"
WHY = ("--reason", "asked for it")
DAY = datetime.now(UTC).date() + timedelta(days=400)
DATED, ON = DAY.isoformat(), day_of(DAY)

YEARLY = """
    INSERT INTO payment_terms (offer_id, name, dues_minor, currency, interval, interval_count, release)
    SELECT offer_id, 'Yearly', 100000, 'USD', 'year', 1, 'monthly' FROM payment_terms;
    INSERT INTO bucket_terms (payment_term_id, session_bucket_id, offer_id, quantity, days_to_expire)
    SELECT t.id, b.id, b.offer_id, 12, 30 FROM session_buckets b JOIN payment_terms t USING (offer_id)
    WHERE t.name = 'Yearly'
"""


def versions(make: Make) -> object:
    return value(make, "SELECT count(*) FROM membership_terms")


def test_a_membership_gets_another_term_and_picks(gym: Spp, make: Make) -> None:
    run(make, YEARLY)
    wish = ["change-plan", ANN, "--term", "Yearly", "--pick", "Personal Training", "--since", DATED, *WHY]
    planned = gym(*wish[:-2], "--dry-run")
    assert planned.out.startswith(
        f"From {ON}, each $1,000.00 yearly payment gives 12 Personal Training sessions a month, 12 times (30 days"
    )
    assert versions(make) == 3
    done = gym(*wish, "--json").json
    assert (done["membership"], done["changed"], done["what"]) == (1, True, planned.out.strip())
    assert versions(make) == 4
    assert value(make, "SELECT reason FROM actions WHERE verb = 'change plan'") == "asked for it"
    back = gym("change-plan", ANN, "--since", DATED, "--withdraw", *WHY)
    assert back.out == (f"The change to All In, Yearly planned for {ON} is withdrawn: All In, Monthly goes on.\n")
    again = gym("change-plan", ANN, "--since", DATED, "--withdraw", *WHY)
    assert f"There is no planned change of membership 1 on '{ON}'." in again.err


def test_a_change_needs_a_reason(gym: Spp, make: Make) -> None:
    done = gym("change-plan", ANN)
    assert (done.code, "Missing option '--reason'" in done.err) == (2, True)


def test_without_more_it_moves_to_the_current_terms_with_the_same_picks(gym: Spp, make: Make) -> None:
    run(make, "UPDATE bucket_terms SET quantity = 11")
    done = gym("change-plan", ANN, *WHY)
    assert done.out.startswith("From now on, each $89.00 monthly payment gives 11 ")
    assert "instead of none" not in done.out


def test_all_of_an_offer_are_moved(gym: Spp, make: Make) -> None:
    every = ["change-plan", "--all-of", "All In"]
    assert gym(*every, "--dry-run").out.startswith("0 memberships would be moved")
    run(make, "UPDATE bucket_terms SET quantity = 11")
    planned = gym(*every, "--term", "Monthly", "--dry-run", "--json").json
    assert planned == {"moved": [1, 2, 3], "left_out": [], "changed": False}
    assert versions(make) == 3
    run(make, "DELETE FROM bucket_terms WHERE session_bucket_id IN (SELECT b.id FROM session_buckets b"
              " JOIN items i ON i.id = b.item_id WHERE i.name = 'Group Class')")  # fmt: skip
    refused = gym(*every, "--expected", "3", *WHY)
    assert (refused.code, "There are 2 now, not the 3 that you confirmed" in refused.err) == (1, True)
    assert versions(make) == 3
    done = gym(*every, "--expected", "2", *WHY)
    assert done.out.startswith("2 memberships moved to the current terms of All In.")
    assert versions(make) == 5
    assert "The payment term 'Monthly' gives no sessions of 'Group Class'" in done.out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ((ANN, "--expected", "1"), 2, "Give --expected NUMBER with --all-of OFFER, and only there"),
        (("--all-of", "All In"), 2, "Give --expected NUMBER with --all-of OFFER, and only there"),
        (("--all-of", "All In", "--expected", "3", "--dry-run"), 2, "Give --expected NUMBER"),
        ((), 2, "Give EMAIL, or --all-of OFFER."),
        ((ANN, "--all-of", "All In"), 2, "Give EMAIL, or --all-of OFFER."),
        ((ANN, "--term", "Daily"), 1, "There is no payment term of 'All In' named 'Daily'. There are: Monthly."),
        ((ANN, "--offer", "Gold"), 1, "There is no offer 'Gold'."),
        ((ANN, "--since", "2020-01-01"), 1, "Jan 1, 2020 is over: choose today or a later day."),
        ((ANN, "--pick", "Towel"), 1, "'Towel' is not a session item of 'All In'"),
        (("zoe@example.com",), 1, "There is no member 'zoe@example.com'."),
        (("--all-of", "Gold", "--expected", "3"), 1, "There is no offer 'Gold'."),
    ],
)
def test_what_is_refused_changes_nothing(gym: Spp, make: Make, words: tuple[str, ...], code: int, message: str) -> None:
    done = gym("change-plan", *words, *WHY)
    assert (done.code, message in done.err) == (code, True)
    assert versions(make) == 3
