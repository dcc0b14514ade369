"""awaiting, sign-up-link: how first payments find their memberships."""

from sqlalchemy import text

from tests.console.conftest import Spp
from tests.worker.scene import Make


def test_a_sign_up_link_and_who_awaits(gym: Spp) -> None:
    shown = gym("sign-up-link", "ann@example.com", "--json").json
    assert shown["code"].startswith("m_")
    assert gym("sign-up-link", "ann@example.com").out.startswith(f"The code of membership {shown['membership']} is")
    assert shown["code"] in [one["code"] for one in gym("awaiting", "--days", "0", "--json").json]
    assert "(none)" in gym("awaiting").out


def test_a_page_that_cannot_be_made_says_why(gym: Spp) -> None:
    refused = gym("sign-up-link", "ann@example.com", "--make", "stripe")
    assert refused.code == 1
    assert "No page for the first payment was made at 'stripe'" in refused.err


def test_one_that_waits_too_long_is_removed(gym: Spp, make: Make) -> None:
    waits = str(gym("awaiting", "--days", "0", "--json").json[0]["membership_id"])
    assert "cannot be removed" in gym("remove-awaiting", waits, "--reason", "gone").err
    with make.begin() as session:
        session.execute(text("UPDATE memberships SET recorded_at = now() - interval '31 days'"))
    assert f"Membership {waits} of " in gym("remove-awaiting", waits, "--reason", "gone").out
    assert waits not in [str(one["membership_id"]) for one in gym("awaiting", "--json").json]
