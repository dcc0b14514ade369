"""First payments on the pages: the code and the ways for it, and who awaits one."""

from collections.abc import Callable

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.staff.accounts import Role
from tests.console.web.at_the_desk import pay
from tests.console.web.conftest import Browser
from tests.models.gym import Gym

LogIn = Callable[[Role], Browser]


def test_a_membership_shows_its_code_until_and_after_the_first_payment(gym: Gym, log_in: LogIn) -> None:
    membership, page = gym.join("sub_ada"), log_in(Role.DESK)
    gym.session.commit()
    page.get(f"/memberships/{membership.id}")
    assert "Awaits its first payment, since" in page.text
    assert f'value="subscription_data[metadata][membership_code]={membership.code}"' in page.page
    pay(gym, "in_1", "sub_ada", 1)
    page.get(f"/memberships/{membership.id}")
    assert "Awaits its first payment" not in page.text
    assert f'value="{membership.code}"' in page.page


def test_a_page_that_cannot_be_made_says_why(gym: Gym, log_in: LogIn) -> None:
    membership, page = gym.join(), log_in(Role.DESK)
    gym.session.commit()
    page.get(f"/memberships/{membership.id}")
    page.post(f"/memberships/{membership.id}/checkout/stripe")
    assert "No page for the first payment was made at 'stripe': stripe has no success_url" in page.text
    viewer = log_in(Role.VIEWER)
    viewer.get(f"/memberships/{membership.id}")
    assert viewer.post(f"/memberships/{membership.id}/checkout/stripe").status_code == 403


def test_a_payment_term_has_a_link_to_which_the_code_is_added(gym: Gym, log_in: LogIn) -> None:
    membership, page = gym.join(), log_in(Role.MANAGER)
    gym.session.commit()
    path = f"/offers/{gym.offer.id}/terms/{gym.term.id}"
    given = {"name": "Monthly", "dues": "90.00", "currency": "USD", "interval": "month", "interval_count": 1}
    given |= {f"quantity_{bucket.id}": 1 for bucket in gym.offer.buckets}
    given |= {f"days_to_expire_{bucket.id}": 1 for bucket in gym.offer.buckets}
    page.get(path)
    page.post(path, **given, payment_link="http://buy.stripe.com/1")
    assert "A payment link is an address that begins with https://" in page.text
    page.post(path, **given, payment_link="https://buy.stripe.com/1")
    assert "Monthly is saved." in page.text
    page.get(f"/memberships/{membership.id}")
    assert f"https://buy.stripe.com/1?client_reference_id={membership.code}&amp;prefilled_email=" in page.page


def test_those_that_await_for_two_weeks_are_on_operations(gym: Gym, log_in: LogIn, session: Session) -> None:
    membership, page = gym.join(), log_in(Role.VIEWER)
    session.commit()
    page.get("/memberships/awaiting")
    assert "None: every membership that was signed up more than 14 days ago" in page.text
    page.get("/memberships/awaiting?days=0")
    assert membership.code in page.text
    session.execute(text("UPDATE memberships SET recorded_at = recorded_at - interval '15 days'"))
    session.commit()
    page.get("/memberships/awaiting")
    assert membership.code in page.text
    page.get("/operations/")
    assert "Awaiting payment 1 first one, for 14 days" in page.text


def test_a_manager_removes_one_that_waits_for_a_month(gym: Gym, log_in: LogIn, session: Session) -> None:
    membership, page = gym.join(), log_in(Role.MANAGER)
    session.execute(text("UPDATE memberships SET recorded_at = recorded_at - interval '20 days'"))
    session.commit()
    page.get("/memberships/awaiting")
    assert "Remove" not in page.text
    page.post(f"/memberships/{membership.id}/remove", reason="never came")
    assert "cannot be removed: only one that has awaited its first payment for 30 days can." in page.text
    session.execute(text("UPDATE memberships SET recorded_at = recorded_at - interval '20 days'"))
    session.commit()
    page.get("/memberships/awaiting")
    assert "Remove" in page.text
    page.post(f"/memberships/{membership.id}/remove", reason="never came")
    assert "The membership of Ada is removed." in page.text
    assert membership.code not in page.text


def test_a_manager_removes_those_that_are_chosen_all_or_none(gym: Gym, log_in: LogIn, session: Session) -> None:
    chosen, young, stays = [gym.join(), gym.join()], gym.join(), gym.join()
    session.execute(
        text("UPDATE memberships SET recorded_at = now() - interval '40 days' WHERE id <> :id"), {"id": young.id}
    )
    session.commit()
    page, why = log_in(Role.MANAGER), {"reason": "never came"}
    page.get("/memberships/awaiting?days=0")
    offered = [one.id for one in (*chosen, young, stays) if f'name="chosen" value="{one.id}"' in page.page]
    assert offered == [*(one.id for one in chosen), stays.id]
    page.post("/memberships/awaiting/remove", **why)
    assert "No membership is chosen." in page.text
    page.post("/memberships/awaiting/remove", chosen=[str(chosen[0].id), str(young.id), "x"], **why)
    assert f"Membership {young.id} cannot be removed" in page.text
    page.post("/memberships/awaiting/remove", chosen=[str(one.id) for one in chosen], **why)
    assert "2 memberships are removed." in page.text
    page.get("/memberships/awaiting?days=0")
    assert [one.code in page.text for one in (*chosen, young, stays)] == [False, False, True, True]
    assert "2 in all." in page.text
