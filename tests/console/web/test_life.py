"""Freezes and the end of a membership: the windows with their previews, what they refuse, and what other pages show."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.orm import Session

from models.catalogue.clubs import edit_club
from models.ledger.tables import CreditGrant
from models.members import life
from models.members.life import Done, LifeAct
from models.members.memberships import Membership, add_billing_reference
from models.members.signing_up import sign_up
from models.staff.accounts import Role
from models.wording import day_of
from tests.console.web.at_the_desk import held, pay, paying_member
from tests.console.web.builder import LogIn, acts, beside
from tests.console.web.conftest import Browser
from tests.models.gym import BY, ENDPOINT, Gym, paid, tell

DAYS = 30
"""How long classes last; they were paid yesterday."""


def today() -> date:
    return datetime.now(ZoneInfo("America/Chicago")).date()


def on(days: int) -> str:
    """The date so many days from today, as a form sends it."""
    return (today() + timedelta(days=days)).isoformat()


def said(days: int) -> str:
    """The same as pages write it."""
    return day_of(today() + timedelta(days=days))


@pytest.fixture
def membership(gym: Gym) -> Membership:
    """Ada's, who paid yesterday: 8 Spin for 30 days, 2 Training for ever."""
    return paying_member(gym)


@pytest.fixture
def manager(log_in: LogIn, membership: Membership) -> Browser:
    browser = log_in(Role.MANAGER)
    browser.get(f"/memberships/{membership.id}")
    return browser


def do(browser: Browser, path: str, **fields: Any) -> int:
    """Previews, then presses the button; the status of that answer."""
    browser.get(path, query_string=fields)
    return browser.post(path, **{"reason": "hurt her knee", **fields}).status_code


def frozen(gym: Gym, membership: Membership, first: int, last: int | None) -> Done:
    """A freeze from a day to another, counted from today, as if recorded elsewhere."""
    days = {"first": today() + timedelta(days=first), "last": None if last is None else today() + timedelta(days=last)}
    done = life.freeze(gym.session, membership, **days, reason="hurt", by=BY, now=datetime.now(UTC))
    gym.session.commit()
    return done


def joined(gym: Gym, **rules: Any) -> Membership:
    """Somebody else who paid yesterday, by terms with these rules."""
    for name, value in rules.items():
        setattr(gym.term, name, value)
    membership = gym.join("sub_ruled")
    gym.session.commit()
    pay(gym, "in_ruled", "sub_ruled", 1)
    return membership


def in_force(session: Session, membership: Membership) -> list[LifeAct]:
    session.rollback()
    return list(life.in_force(session, membership_id=membership.id))


def usable_to(session: Session, membership: Membership) -> str:
    """The last usable day of the classes."""
    session.rollback()
    grants = session.query(CreditGrant).filter_by(member_id=membership.member_id)
    (expires,) = [grant.expires_at for grant in grants if grant.quantity == 8]
    return day_of((expires - timedelta(hours=1)).astimezone(ZoneInfo("America/Chicago")).date()) if expires else "never"


class TestFreeze:
    def test_the_preview_says_what_moves_and_changes_nothing(
        self, manager: Browser, session: Session, membership: Membership
    ) -> None:
        path = f"/memberships/{membership.id}/freeze"
        manager.get(path, query_string={"first_day": on(1), "last_day": on(10)})
        assert f"Frozen from {said(1)} to {said(10)}. Sessions cannot be used on these days." in manager.text
        assert "Dues paid while the membership is frozen give no sessions: they are the fee of the freeze." in (
            manager.text
        )
        assert f"8 Spin sessions: usable until {said(39)} instead of {said(29)}." in manager.text
        assert (in_force(session, membership), usable_to(session, membership)) == ([], said(29))
        assert not any("freeze" in act for act in acts(session))

    def test_it_is_done_as_previewed_and_says_so(
        self, manager: Browser, session: Session, membership: Membership
    ) -> None:
        assert do(manager, f"/memberships/{membership.id}/freeze", first_day=on(0), last_day=on(9)) == 200
        assert f"8 Spin sessions: usable until {said(39)} instead of {said(29)}." in manager.text
        assert f"Frozen until {said(9)}." in manager.text
        assert "hurt her knee manager@example.com" in manager.text
        assert usable_to(session, membership) == said(39)
        assert acts(session)[0].startswith(f"manager freeze: membership {membership.id}, from ")
        manager.get(f"/members/{membership.member_id}")
        assert f"Frozen until {said(9)}" in manager.text
        assert f"Spin 0 available 8 frozen until {said(9)}" in manager.text
        assert 'id="quantity-' not in manager.page
        assert "Expires later" in manager.text
        assert "10 frozen days not counted" in manager.text
        for day, is_frozen in ((-1, False), (5, True), (12, False)):
            manager.get(f"/members/{membership.member_id}?as_of={on(day)}T12:00")
            assert (f"Spin 0 available 8 frozen until {said(9)}" in manager.text) == is_frozen
            assert (f"Frozen until {said(9)}" in manager.text) == is_frozen

    def test_without_a_last_day_it_lasts_until_further_notice(
        self, manager: Browser, session: Session, membership: Membership
    ) -> None:
        assert do(manager, f"/memberships/{membership.id}/freeze", first_day=on(0), last_day="") == 200
        assert f"usable without an end instead of until {said(29)}." in manager.text
        assert "Frozen until further notice." in manager.text
        assert usable_to(session, membership) == "never"
        manager.get(f"/members/{membership.member_id}")
        assert "Spin 0 available 8 frozen until further notice" in manager.text
        assert "Does not expire" in manager.text

    def test_where_the_club_allows_it_sessions_can_be_used_meanwhile(
        self, manager: Browser, gym: Gym, membership: Membership
    ) -> None:
        edit_club(gym.session, gym.club, use_while_frozen=True)
        gym.session.commit()
        manager.get(f"/memberships/{membership.id}/freeze", query_string={"first_day": on(0), "last_day": on(9)})
        assert "Sessions can be used on these days, too." in manager.text
        frozen(gym, membership, 0, 9)
        manager.get(f"/members/{membership.member_id}")
        assert "Spin 8 available" in manager.text

    def test_only_the_sessions_of_the_frozen_membership_are_frozen(
        self, manager: Browser, gym: Gym, membership: Membership
    ) -> None:
        picks, email = [gym.spin, gym.training], membership.member.email
        bought = {"club": gym.club, "term": gym.term, "picks": picks}
        other = sign_up(gym.session, email=email, name="Ada", **bought, by=BY, now=datetime.now(UTC))
        add_billing_reference(gym.session, other, ENDPOINT, "sub_other", by=BY)
        gym.session.commit()
        pay(gym, "in_2", "sub_other", 1)
        frozen(gym, membership, 0, 9)
        manager.get(f"/members/{membership.member_id}")
        assert f"Spin 8 available 8 more frozen until {said(9)}" in manager.text

    def test_one_to_come_is_shown_and_takes_nothing_yet(
        self, manager: Browser, gym: Gym, membership: Membership
    ) -> None:
        frozen(gym, membership, 5, 9)
        manager.get(f"/members/{membership.member_id}")
        assert f"Frozen from {said(5)} to {said(9)}" in manager.text
        assert "Spin 8 available" in manager.text

    def test_it_ends_early_and_gives_the_days_back(
        self, manager: Browser, gym: Gym, session: Session, membership: Membership
    ) -> None:
        do(manager, f"/memberships/{membership.id}/freeze", first_day=on(0), last_day=on(9))
        (act,) = in_force(session, membership)
        path = f"/memberships/{membership.id}/life/{act.id}"
        assert f'href="{path}?last_day={on(0)}"' in manager.page
        assert do(manager, path, last_day=on(0), reason="well again") == 200
        assert f"8 Spin sessions: usable until {said(30)} instead of {said(39)}." in manager.text
        assert f"Freeze changed: from {said(0)} to {said(0)} manager@example.com well again" in manager.text
        assert usable_to(session, membership) == said(30)
        manager.get(f"/members/{membership.member_id}")
        assert "Expires sooner" in manager.text

    def test_it_is_undone_and_stays_in_the_history(
        self, manager: Browser, session: Session, membership: Membership
    ) -> None:
        do(manager, f"/memberships/{membership.id}/freeze", first_day=on(0), last_day=on(9))
        (act,) = in_force(session, membership)
        path = f"/memberships/{membership.id}/life/{act.id}/undo"
        manager.get(path)
        assert f"As if it had never been frozen from {said(0)} to {said(9)}." in manager.text
        assert f"usable until {said(29)} instead of {said(39)}." in manager.text
        assert manager.post(path, reason="wrong member").status_code == 200
        assert (in_force(session, membership), usable_to(session, membership)) == ([], said(29))
        assert "Not frozen, and without an end." in manager.text
        assert f"Freeze undone: from {said(0)} to {said(9)} manager@example.com wrong member" in manager.text
        assert manager.post(path, reason="again").status_code == 422
        assert "changed or undone by now" in manager.text

    def test_what_was_not_previewed_is_previewed_first(
        self, manager: Browser, session: Session, membership: Membership
    ) -> None:
        path = f"/memberships/{membership.id}/freeze"
        manager.get(path)
        fields = {"first_day": on(0), "last_day": on(9), "reason": "hurt"}
        assert manager.post(path, **fields).status_code == 422
        assert "This is not what the preview said: read it again" in manager.text
        assert f"usable until {said(39)} instead of {said(29)}" in manager.text
        assert (in_force(session, membership), usable_to(session, membership)) == ([], said(29))
        assert manager.post(path, **fields).status_code == 200

    def test_what_is_paid_meanwhile_is_previewed_first(
        self, manager: Browser, gym: Gym, session: Session, membership: Membership
    ) -> None:
        path, fields = f"/memberships/{membership.id}/freeze", {"first_day": on(0), "last_day": on(9)}
        manager.get(path, query_string=fields)
        pay(gym, "in_2", "sub_ada", 2)
        assert manager.post(path, **fields, reason="hurt").status_code == 422
        assert f"usable until {said(38)} instead of {said(28)}" in manager.text
        assert in_force(session, membership) == []

    @pytest.mark.parametrize(
        ("wrong", "field", "told"),
        [
            ({"first_day": ""}, "first_day", "Choose the first frozen day."),
            ({"first_day": "soon"}, "first_day", "Write a date, such as 2026-11-30."),
            ({"last_day": "never"}, "last_day", "Write a date, such as 2026-11-30."),
            ({"last_day": on(-1)}, "last_day", "is before the first"),
            ({"last_day": on(2000)}, "last_day", "more than 5 years from today. Check the year."),
            ({"last_day": on(1200)}, "last_day", "is longer than three years"),
            ({"first_day": "0001-01-01"}, "first_day", "more than 5 years from today. Check the year."),
            ({"last_day": "9999-12-31"}, "last_day", "more than 5 years from today. Check the year."),
            ({"first_day": "9999-12-31"}, "first_day", "more than 5 years from today. Check the year."),
            ({"reason": ""}, "reason", "Say why."),
            ({"reason": "  "}, "reason", "Say why: a note is required."),
            ({"reason": "r" * 1001}, "reason", "longer than 1000"),
        ],
    )
    def test_what_is_wrong_stands_beside_its_field(
        self, manager: Browser, session: Session, membership: Membership, wrong: dict[str, str], field: str, told: str
    ) -> None:
        fields = {"first_day": on(0), "last_day": on(9), **wrong}
        assert do(manager, f"/memberships/{membership.id}/freeze", **fields) == 422
        assert told in beside(manager, field)
        assert (in_force(session, membership), usable_to(session, membership)) == ([], said(29))

    @pytest.mark.parametrize(
        "query", [{"first_day": "x"}, {"first_day": ""}, {"last_day": "x"}, {"first_day": on(-9999)}]
    )
    def test_a_preview_of_nonsense_is_a_page(
        self, manager: Browser, membership: Membership, query: dict[str, str]
    ) -> None:
        assert manager.get(f"/memberships/{membership.id}/freeze", query_string=query).status_code == 200

    def test_many_over_each_other_count_once(
        self, manager: Browser, gym: Gym, session: Session, membership: Membership
    ) -> None:
        for _ in range(40):
            frozen(gym, membership, 1, 5)
        assert do(manager, f"/memberships/{membership.id}/freeze", first_day=on(2), last_day=on(6)) == 200
        assert usable_to(session, membership) == said(35)


class TestEnd:
    def test_the_preview_and_the_end(self, manager: Browser, session: Session, membership: Membership) -> None:
        assert do(manager, f"/memberships/{membership.id}/end", last_day=on(12), reason="moves away") == 200
        assert f"The last day of the membership is {said(12)}." in manager.text
        assert "When the membership ends, unused sessions are usable until their own day. No sessions move." in (
            manager.text
        )
        assert f"Ends on {said(12)}." in manager.text
        assert ">End membership<" not in manager.page
        manager.get(f"/members/{membership.member_id}")
        assert f"Ends on {said(12)}" in manager.text

    def test_unused_sessions_go_as_the_terms_say(self, manager: Browser, gym: Gym, session: Session) -> None:
        membership = joined(gym, on_end="days", on_end_days=3)
        path = f"/memberships/{membership.id}/end"
        manager.get(path, query_string={"last_day": on(12)})
        assert "usable for 3 days after the last day of the membership." in manager.text
        assert f"8 Spin sessions: usable until {said(15)} instead of {said(29)}." in manager.text
        assert f"2 Training sessions: usable until {said(15)} instead of without an end." in manager.text
        assert manager.post(path, last_day=on(12), reason="moves away").status_code == 200
        assert usable_to(session, membership) == said(15)

    def test_its_day_changes_and_it_is_reopened(self, manager: Browser, gym: Gym, session: Session) -> None:
        membership = joined(gym, on_end="last_day")
        do(manager, f"/memberships/{membership.id}/end", last_day=on(12))
        (act,) = in_force(session, membership)
        assert do(manager, f"/memberships/{membership.id}/life/{act.id}", last_day=on(8), reason="sooner") == 200
        assert f"8 Spin sessions: usable until {said(8)} instead of {said(12)}." in manager.text
        (act,) = in_force(session, membership)
        path = f"/memberships/{membership.id}/life/{act.id}/undo"
        manager.get(path)
        assert f"The membership goes on, as if it had not ended on {said(8)}." in manager.text
        assert manager.post(path, reason="stays after all").status_code == 200
        assert usable_to(session, membership) == said(29)
        assert f"Reopened: last day {said(8)} manager@example.com stays after all" in manager.text

    def test_a_second_end_is_refused(self, manager: Browser, session: Session, membership: Membership) -> None:
        path = f"/memberships/{membership.id}/end"
        do(manager, path, last_day=on(12))
        assert do(manager, path, last_day=on(20)) == 422
        assert f"The membership has an end already: its last day is {said(12)}." in beside(manager, "last_day")

    @pytest.mark.parametrize("day", ["", "x"])
    def test_its_last_day_cannot_be_left_out(
        self, manager: Browser, session: Session, membership: Membership, day: str
    ) -> None:
        do(manager, f"/memberships/{membership.id}/end", last_day=on(12))
        (act,) = in_force(session, membership)
        assert do(manager, f"/memberships/{membership.id}/life/{act.id}", last_day=day) == 422
        assert beside(manager, "last_day")
        assert do(manager, f"/memberships/{membership.id}/life/{act.id}", last_day=on(12)) == 422
        assert "That is how it is already." in beside(manager, "last_day")

    def test_what_is_paid_after_it_stands_in_review(
        self, manager: Browser, gym: Gym, session: Session, membership: Membership
    ) -> None:
        do(manager, f"/memberships/{membership.id}/end", last_day=on(-3))
        assert held(session, membership) == {"Spin": 0, "Training": 0}
        manager.get("/review/?reason=ended")
        assert "Paid after the end" in manager.text
        assert f"but the membership ended on {said(-3)}: it gave nothing" in manager.text
        manager.get(f"/memberships/{membership.id}")
        assert "8 Spin · 8 taken back 2 Training" in manager.text, "no money went back"
        manager.get(f"/members/{membership.member_id}")
        assert f"Ended on {said(-3)}" in manager.text
        assert "payment reversed" not in manager.text


def test_the_preview_counts_what_had_expired_and_can_be_used_again(
    manager: Browser, gym: Gym, membership: Membership
) -> None:
    for number in (2, 3):
        pay(gym, f"in_{number}", "sub_ada", 35)
    manager.get(f"/memberships/{membership.id}/freeze", query_string={"first_day": on(-20), "last_day": on(-11)})
    assert "16 expired sessions can be used again" in manager.text
    assert do(manager, f"/memberships/{membership.id}/freeze", first_day=on(-20), last_day=on(-11)) == 200
    assert "16 expired sessions can be used again." in manager.text


def test_the_fee_of_a_freeze_is_called_so(manager: Browser, gym: Gym, session: Session, membership: Membership) -> None:
    frozen(gym, membership, -5, 9)
    now = datetime.now(UTC)
    tell(session, paid("in_fee", "sub_ada", at=now - timedelta(days=2), amount=1500), now=now)
    manager.get(f"/memberships/{membership.id}")
    assert re.search(r"in_fee .{5,40} Fee of a freeze", manager.text)
    assert "none by the terms of then" not in manager.text


def test_a_fee_that_had_given_sessions_is_explained(
    manager: Browser, gym: Gym, session: Session, membership: Membership
) -> None:
    now = datetime.now(UTC)
    tell(session, paid("in_fee", "sub_ada", at=now - timedelta(days=10), amount=1500), now=now)
    assert do(manager, f"/memberships/{membership.id}/freeze", first_day=on(-12), last_day=on(-8)) == 200
    assert "0 instead of 2" in manager.text
    manager.get(f"/members/{membership.member_id}")
    found = re.search(r'href="(/members/\d+/entries/\d+)"[^>]*>Taken back<', manager.page)
    assert found
    manager.get(found[1])
    assert "Fee of a freeze" in manager.text
    assert "it was paid while the membership was frozen: it is the fee of the freeze" in manager.text


def test_the_closures_of_its_club_are_shown(manager: Browser, gym: Gym, membership: Membership) -> None:
    life.close(
        gym.session, gym.club, scope=life.Scope.CLASS, first=today() + timedelta(days=3),
        last=today() + timedelta(days=4), reason="Holidays", by=BY, now=datetime.now(UTC),
    )  # fmt: skip
    gym.session.commit()
    manager.get(f"/memberships/{membership.id}")
    assert f"Downtown closed to come {said(3)} to {said(4)} Holidays" in manager.text


def test_the_desk_sees_it_and_changes_nothing(
    log_in: LogIn, gym: Gym, session: Session, membership: Membership
) -> None:
    act = frozen(gym, membership, 0, 9).act.id
    desk = log_in(Role.DESK)
    desk.get(f"/memberships/{membership.id}")
    assert f"Frozen until {said(9)}" in desk.text
    for words in ("End early", "Change last day", ">Freeze<", ">Undo<", "End membership"):
        assert words not in desk.page
    for path in ("freeze", "end", f"life/{act}", f"life/{act}/undo"):
        assert desk.get(f"/memberships/{membership.id}/{path}").status_code == 403
        desk.get("/members/")
        assert desk.post(f"/memberships/{membership.id}/{path}", last_day=on(1), reason="x").status_code == 403
    assert [one.id for one in in_force(session, membership)] == [act]


def test_what_belongs_to_another_membership_is_not_found(manager: Browser, gym: Gym, membership: Membership) -> None:
    act = frozen(gym, membership, 0, 9).act.id
    other = gym.join("sub_2")
    gym.session.commit()
    for path in (f"{other.id}/life/{act}", f"{other.id}/life/{act}/undo", f"{other.id}/life/77", "77/freeze", "77/end"):
        assert manager.get(f"/memberships/{path}").status_code == 404
