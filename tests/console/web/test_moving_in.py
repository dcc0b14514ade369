"""Moving in: the page after an import, until all are gone; and the cut-over in its window on the membership's page."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from models.members import life
from models.members.clocks import make_test_member
from models.members.memberships import add_billing_reference
from models.payments import settlement
from models.payments.facts import DuesFailed, Reversed
from models.staff.accounts import Role
from models.wording import day_of
from tests.console.web.at_the_desk import held, pay, paying_member
from tests.console.web.builder import LogIn, acts
from tests.models.gym import BY, Gym, paid, tell

TODAY = datetime.now(ZoneInfo("America/Chicago")).date()


def test_what_is_left_is_listed_until_all_are_gone(log_in: LogIn, gym: Gym) -> None:
    session, now = gym.session, datetime.now(UTC)
    early = log_in(Role.MANAGER)
    early.get("/moving-in/")
    assert "Nobody is here yet. Import members" in early.text
    assert "Nothing is left" not in early.text
    assert "Every billing reference" not in early.text
    paying_member(gym)
    silent, bare, ended, tested = gym.join("sub_silent", "cus_silent"), gym.join(), gym.join("sub_ended"), gym.join()
    gym.join("sub_failed")
    life.end(session, ended, last=TODAY - timedelta(days=1), reason="moved", by=BY, now=now)
    make_test_member(session, tested.member, [], by=BY)
    failure = DuesFailed("in_failed", now, billing_references=("sub_failed",))
    tell(session, failure, paid("in_lost", "sub_lost"), now=now)
    session.commit()
    viewer = log_in(Role.VIEWER)
    viewer.get("/moving-in/")
    counted = ("Payments unmatched: 1", "Billing references never heard of: 2", "without a billing reference: 1")
    assert [one for one in counted if one not in viewer.text] == []
    assert "sub_failed" not in viewer.text, "a failure is a word of the processor's, too"
    assert f'href="/memberships/{silent.id}#billing"' in viewer.page
    assert f'href="/memberships/{bare.id}#billing"' in viewer.page
    assert f'href="/memberships/{tested.id}#billing"' not in viewer.page
    # The bare one turns out to be whose the lost payment is; the silent one pays, by its customer.
    add_billing_reference(session, bare, "stripe", "sub_lost", by=BY)
    tell(
        session,
        paid("in_late", "sub_silent"),
        paid("in_customer", "cus_silent"),
        paid("in_ended", "sub_ended"),
        now=now,
    )
    settlement.settle_matched(session, now=now, late_credit=timedelta(0))
    session.commit()
    viewer.get("/moving-in/")
    assert "Nothing is left" in viewer.text


def test_the_cut_over_is_set_in_a_window_that_says_what_it_moves(log_in: LogIn, gym: Gym) -> None:
    membership = paying_member(gym)
    manager, path = log_in(Role.MANAGER), f"/memberships/{membership.id}/cut-over"
    day = {"credits_from": TODAY.isoformat()}
    manager.get(path, query_string=day)
    assert f"What was paid before {day_of(TODAY)} gives no sessions" in manager.text
    assert "8 Spin sessions: 0 instead of 8 left" in manager.text
    assert held(gym.session, membership) == {"Spin": 8, "Training": 2}
    manager.post(path, **day, reason="moved in")
    assert held(gym.session, membership) == {"Spin": 0, "Training": 0}
    manager.get(f"/memberships/{membership.id}")
    assert "Before the cut-over" in manager.text
    assert acts(gym.session)[0].startswith(f"manager set cut-over: membership {membership.id}: payments count from ")
    # One more that is told late stands nowhere but there; its refund stands in review.
    pay(gym, "in_older", "sub_ada", 3)
    manager.get("/review/")
    assert "in_older" not in manager.text
    tell(gym.session, Reversed("in_older", datetime.now(UTC), "refund:re_1", None, None))
    manager.get("/review/")
    assert "$90.00 of a payment before the cut-over went back: opening sessions are not touched" in manager.text
    assert "Refund before cut-over" in manager.text
