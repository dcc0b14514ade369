"""announcements, apply-announcement, dismiss-announcement: what the payment provider says of subscriptions."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from models.catalogue.days import local_day
from models.wording import day_of
from runtime.settings import Settings
from tests.console.conftest import Spp
from tests.webhooks.deliveries import PAYLOADS
from tests.worker.scene import Make, arrive, value
from worker.crediting import Crediting

ENDS = datetime.now(UTC) + timedelta(days=40)
DAY = day_of(local_day(ENDS, "America/Chicago"))
SAYS = f"Stripe says that this subscription ends on {DAY}"


@pytest.fixture
def announced(gym: Spp, settings: Settings, make: Make) -> Spp:
    """Ann's subscription was cancelled, and ends in some weeks."""
    event = json.loads((PAYLOADS / "stripe/subscription_updated.json").read_bytes())
    event["created"] = int(datetime.now(UTC).timestamp()) - 60
    event["data"]["object"] |= {"id": "sub_ann", "cancel_at": int(ENDS.timestamp())}
    arrive(make, json.dumps(event).encode())
    assert Crediting(settings, make).drain() == 1
    return gym


def number(spp: Spp) -> str:
    (one,) = spp("announcements", "--json").json
    assert (one["reference"], one["what"], one["does"]) == ("sub_ann", SAYS, "end")
    return str(one["announcement"])


def ends(make: Make) -> object:
    return value(make, "SELECT count(*) FROM life_in_force WHERE kind = 'end'")


def test_they_are_listed(announced: Spp) -> None:
    done = announced("announcements")
    assert SAYS in done.out
    assert "1 announcement." in done.out


def test_one_is_applied_after_a_dry_run(announced: Spp, make: Make) -> None:
    known = number(announced)
    assert announced("apply-announcement", known, "--dry-run").out.startswith("Would do: End the membership then.")
    assert ends(make) == 0
    done = announced("apply-announcement", known)
    assert done.out.startswith(f"The membership ends on {DAY} (Ann")
    assert ends(make) == 1
    assert value(make, "SELECT reason FROM actions WHERE verb = 'end membership'") == SAYS
    assert announced("apply-announcement", known).code == 1


def test_one_is_dismissed_once(announced: Spp, make: Make) -> None:
    known = number(announced)
    assert announced("dismiss-announcement", known, "--reason", "stays").out.startswith("Dismissed:")
    assert announced("announcements", "--json").json == []
    again = announced("dismiss-announcement", known)
    assert (again.code, "not open any more" in again.err) == (1, True)
    assert value(make, "SELECT reason FROM actions WHERE verb = 'dismiss announcement'") == "stays"
