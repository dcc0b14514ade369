"""Finding members, the list, and a member's page, now and as of a moment."""

import re
from collections.abc import Callable
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import Engine, event, text
from sqlalchemy.orm import Session

from console.web.languages import spoken
from models.members import life
from models.members.memberships import Member, Membership
from models.members.signing_up import sign_up
from models.payments.facts import Reversed
from models.staff.accounts import Role
from models.wording import day_of
from runtime.language import speaking
from tests.console.web.at_the_desk import DAY, now, pay, paying_member, spend
from tests.console.web.conftest import Browser
from tests.models.gym import BY, DUES, Gym, paid, tell

LogIn = Callable[[Role], Browser]
CHICAGO = ZoneInfo("America/Chicago")


def shown(days: int) -> str:
    """A local day in days from now, as pages write it."""
    return f"{(now() + timedelta(days=days)).astimezone(CHICAGO):%b %-d, %Y}"


def brief(days: int) -> str:
    """The same without this year."""
    return shown(days).removesuffix(f", {now().astimezone(CHICAGO):%Y}")


def crowd(session: Session, number: int) -> None:
    rows = "SELECT n || '@x.org', 'M' || lpad(CAST(n AS text), 3, '0') FROM generate_series(1, :number) n"
    session.execute(text(f"INSERT INTO members (email, name) {rows}"), {"number": number})
    session.commit()


def test_without_members_the_desk_is_asked_to_sign_up_the_first(log_in: LogIn) -> None:
    desk = log_in(Role.DESK)
    desk.get("/members/")
    assert "Sign up the first member" in desk.text
    viewer = log_in(Role.VIEWER)
    viewer.get("/members/")
    assert "There are no members yet" in viewer.text
    assert "Sign up the first member: the front desk can do that." in viewer.text
    assert 'href="/sign-up/"' not in viewer.page


def test_members_are_leafed_through_by_name(session: Session, log_in: LogIn) -> None:
    crowd(session, 120)
    ada = log_in(Role.VIEWER)
    names = []
    ada.get("/members/")
    pages = [ada.text]
    while 'rel="next"' in ada.page:
        ada.get(ada.page.split('rel="next"')[0].rpartition('href="')[2].partition('"')[0])
        pages.append(ada.text)
    for page in pages:
        names += [word for word in page.split() if word.startswith("M") and word[1:].isdigit()]
    assert names == [f"M{n:03}" for n in range(1, 121)]
    ada.get(ada.page.split('rel="prev"')[0].rpartition('href="')[2].partition('"')[0])
    assert ada.text == pages[1]


def test_a_reference_leads_straight_to_its_member(gym: Gym, log_in: LogIn) -> None:
    member = paying_member(gym)
    ada = log_in(Role.VIEWER)
    for reference in ("sub_ada", "in_1"):
        assert ada.get(f"/members/?q={reference}").headers["Location"] == f"/members/{member.member_id}"
    for other in ("Ada", member.member.email[:8]):
        assert ada.get(f"/members/?q={other}").status_code == 200
        assert member.member.email in ada.text
        assert "Gold at Downtown" in ada.text


def test_a_paid_payment_without_a_membership_says_what_it_waits_for(gym: Gym, log_in: LogIn) -> None:
    tell(gym.session, paid("in_lost", "sub_lost", at=now()))
    ada = log_in(Role.VIEWER)
    for reference in ("in_lost", "sub_lost"):
        ada.get(f"/members/?q={reference}")
        assert f"$90.00, {brief(0)}, Stripe was paid, but belongs to no membership yet" in ada.text
        assert 'title="in_lost"' in ada.page
        assert "sub_lost" in ada.text
    ada.get("/members/?q=in_other")
    assert "Nobody is found" in ada.text


def test_the_page_says_what_is_available_and_until_when(gym: Gym, log_in: LogIn) -> None:
    member = paying_member(gym)
    pay(gym, "in_2", "sub_ada", 10)
    spend(gym, member, gym.spin, 3)
    ada = log_in(Role.VIEWER)
    ada.get(f"/members/{member.member_id}")
    assert "Spin 13 available" in ada.text
    assert f"next to expire: 5 on {shown(20)}" in ada.text
    assert "Training 4 available never expires" in ada.text
    assert f"{shown(-10)} Spin payment $90.00, {brief(-10)}, Stripe {shown(20)} 8 3 5" in ada.text
    assert f"{shown(-1)} Training payment $90.00, {brief(-1)}, Stripe never 2 0 2" in ada.text
    assert 'title="in_2"' in ada.page
    assert "Days and hours are those of Downtown, Central Time." in ada.text


def test_a_shortfall_is_told_in_words(gym: Gym, log_in: LogIn) -> None:
    member = paying_member(gym)
    spend(gym, member, gym.spin, 2)
    tell(gym.session, Reversed("in_1", now(), "refund:re", DUES, "USD"), now=now())
    ada = log_in(Role.VIEWER)
    ada.get(f"/members/{member.member_id}")
    assert "2 sessions were used before they were taken back; the next grant repays them." in ada.text
    assert "Taken back: payment refunded $90.00" in ada.text


def test_a_payment_with_a_problem_is_told(gym: Gym, log_in: LogIn) -> None:
    member = gym.join("sub")
    tell(gym.session, paid("in_euro", "sub", at=now(), currency="EUR"), now=now())
    ada = log_in(Role.VIEWER)
    ada.get(f"/members/{member.member_id}")
    assert (
        f"A payment is in review. Look at it €90.00, {brief(0)}, Stripe : paid in EUR, but the membership is in USD."
        in ada.text
    )
    assert f"/review/?member={member.member_id}" in ada.page
    assert 'title="in_euro"' in ada.page


def test_the_statement_is_leafed_through_and_filtered(gym: Gym, log_in: LogIn) -> None:
    member = paying_member(gym)
    for number in range(2, 9):
        pay(gym, f"in_{number}", "sub_ada", number)
    for _ in range(30):
        spend(gym, member, gym.spin, 1)
    ada = log_in(Role.VIEWER)
    path = f"/members/{member.member_id}"
    ada.get(path)
    assert ada.text.count("Redeemed") == 25
    ada.get(ada.page.split(">Older<")[0].rpartition('href="')[2].partition('"')[0].replace("&amp;", "&"))
    assert ada.text.count("Redeemed") == 5
    ada.get(f"{path}?item={gym.training.id}")
    assert "Redeemed" not in ada.text
    assert ada.text.count("credited") == 8


def test_finished_grants_have_a_page_of_their_own(gym: Gym, log_in: LogIn) -> None:
    member = gym.join("sub")
    for number in range(60):
        pay(gym, f"in_{number}", "sub", 40 + number)
    ada = log_in(Role.VIEWER)
    ada.get(f"/members/{member.member_id}")
    assert "All grants, with 60 used up or expired" in ada.text
    assert "And 40 more" in ada.text
    ada.get(f"/members/{member.member_id}/grants")
    pages = [ada.page]
    while ">Older<" in ada.page:
        ada.get(ada.page.split(">Older<")[0].rpartition('href="')[2].partition('"')[0])
        pages.append(ada.page)
    given = [payment for page in pages for payment in re.findall(r'title="(in_\d+)"', page)]
    assert sorted(given) == sorted([f"in_{number}" for number in range(60)] * 2)


def test_as_of_a_moment_shows_what_was_known_then(gym: Gym, log_in: LogIn) -> None:
    member = paying_member(gym)
    gym.session.execute(text("SELECT pg_sleep(0.01)"))
    before = now().astimezone(CHICAGO).replace(tzinfo=None)
    spend(gym, member, gym.spin, 3)
    desk = log_in(Role.ADMIN)
    desk.get(f"/members/{member.member_id}?as_of={before.isoformat()}")
    assert "Spin 8 available" in desk.text
    assert "As of " in desk.text
    assert "Back to now" in desk.text
    assert "Redeem" not in desk.text
    assert "Adjust" not in desk.text
    assert "Give back" not in desk.text
    assert "Extend" not in desk.text
    desk.get(f"/members/{member.member_id}?as_of={(before + 40 * DAY).isoformat()}")
    assert "Spin 0 available" in desk.text
    assert "if nothing more happens" in desk.text


@pytest.mark.parametrize(
    "asked",
    ["yesterday", "2026-13-01T10:00", "9999-12-31T23:59", "0001-01-01T00:00", "2026-11-01T12:00Z", "%00", "9" * 5000],
)
def test_a_moment_that_is_none_is_said_beside_the_field(gym: Gym, log_in: LogIn, asked: str) -> None:
    member = paying_member(gym)
    ada = log_in(Role.VIEWER)
    assert ada.get(f"/members/{member.member_id}?as_of={asked}").status_code == 422
    assert "Write a date and a time" in ada.text
    assert "Spin 8 available" in ada.text


@pytest.mark.parametrize(
    "path",
    [
        "/members/99",
        "/members/99/grants",
        "/members/0",
        "/members/x",
        "/members/-1",
        f"/members/{2**63}",
        "/members/{id}?item=x",
        "/members/{id}?before=-1",
        f"/members/{{id}}?before={2**63}",
        "/members/?after=x",
        "/members/?before=%00",
        "/members/{id}/grants?before=x",
        "/members/{id}/entries/x",
        "/members/{id}/entries/99",
    ],
)
def test_garbage_in_the_address_is_not_found(gym: Gym, log_in: LogIn, path: str) -> None:
    member = paying_member(gym)
    assert log_in(Role.ADMIN).get(path.replace("{id}", str(member.member_id))).status_code == 404


@pytest.mark.parametrize(
    "path", ["/members/?after=99", "/members/?before=99", "/members/?q=%00", f"/members/?q={'x' * 9000}"]
)
def test_garbage_that_finds_nothing(gym: Gym, log_in: LogIn, path: str) -> None:
    paying_member(gym)
    assert log_in(Role.VIEWER).get(path).status_code == 200


def test_names_are_text(gym: Gym, log_in: LogIn) -> None:
    name = "<script>alert(1)</script> & Söhne"
    member = sign_up(
        gym.session, email="a<b>@x.org", name=name, club=gym.club, term=gym.term, picks=[gym.spin], by=BY, now=now()
    )
    gym.session.commit()
    ada = log_in(Role.DESK)
    for path in ("/members/", f"/members/{member.member_id}", f"/members/{member.member_id}/adjust"):
        ada.get(path)
        assert "<script>alert" not in ada.page
        assert "a<b>" not in ada.page
        assert "&lt;script&gt;" in ada.page


def test_a_member_who_has_bought_nothing_has_a_page(session: Session, gym: Gym, log_in: LogIn) -> None:
    session.add(Member(email="new@x.org", name="New"))
    session.commit()
    desk = log_in(Role.DESK)
    desk.get("/members/?q=new@x.org")
    desk.get(desk.page.split("New</a>")[0].rpartition('href="')[2].partition('"')[0])
    assert "No sessions yet" in desk.text


def statements(member: Membership, ada: Browser, engine: Engine) -> int:
    """How many statements the member's pages take."""
    sent = []
    one = f"/members/{member.member_id}"

    def count(*_: object) -> None:
        sent.append(1)

    event.listen(engine, "before_cursor_execute", count)
    try:
        for path in ("/members/", "/members/?q=Ada", one, f"{one}/grants"):
            assert ada.get(path).status_code == 200
    finally:
        event.remove(engine, "before_cursor_execute", count)
    return len(sent)


def test_a_page_takes_as_many_statements_for_much_as_for_little(gym: Gym, site: Flask, log_in: LogIn) -> None:
    member = paying_member(gym)
    ada = log_in(Role.ADMIN)
    engine = site.extensions["spp_engine"]
    spend(gym, member, gym.spin, 1)
    ada.get("/members/")  # once, whether a payment has given sessions is asked for
    little = statements(member, ada, engine)
    for number in range(2, 12):
        pay(gym, f"in_{number}", "sub_ada", number)
        spend(gym, member, gym.spin, 1)
        gym.join(f"sub_{number}")
    gym.session.commit()
    assert statements(member, ada, engine) == little


def test_filter_sort_and_count_are_in_the_address(gym: Gym, log_in: LogIn) -> None:
    paying_member(gym)
    gym.join("sub_bob").member.name = "Bob"
    gym.session.commit()
    page = log_in(Role.VIEWER)
    page.get("/members/")
    assert ("2 members." in page.text, "8 Spin until" in page.text, "Nothing left (1)" in page.text) == (
        True,
        True,
        True,
    )
    page.get("/members/?left=none&order=joined")
    assert ("1 member." in page.text, "Bob" in page.text, "Spin until" in page.text) == (True, True, False)
    assert '<option selected value="joined">' in page.page
    page.get("/members/?state=ended&expiring=7")
    assert "No member fits this filter. All members" in page.text
    for garbage in ("?club=x&offer=99&state=y&left=z&expiring=0&order=q", "?club=%00"):
        assert page.get(f"/members/{garbage}").status_code == 200
        assert "2 members." in page.text


def test_a_freeze_that_keeps_sessions_from_being_used_stands_out_in_every_language(log_in: LogIn, gym: Gym) -> None:
    today = now().astimezone(CHICAGO).date()
    now_frozen, frozen_later = paying_member(gym), gym.join("sub_later")
    for membership, first in ((now_frozen, 0), (frozen_later, 3)):
        days = {"first": today + timedelta(days=first), "last": today + timedelta(days=9)}
        life.freeze(gym.session, membership, **days, reason="hurt", by=BY, now=now())
    gym.session.commit()
    desk = log_in(Role.DESK)
    desk.get("/members/")
    desk.post("/language/", locale="es", next="/members/")
    with speaking(spoken("es")):
        until = re.escape(day_of(today + timedelta(days=9)))
    for path, kinds in (
        ("/members/", {"warning", "secondary"}),
        (f"/members/{now_frozen.member_id}", {"warning"}),
        (f"/members/{frozen_later.member_id}", {"secondary"}),
    ):
        desk.get(path)
        assert set(re.findall(f'text-bg-(\\w+)">[^<]*{until}</span>', desk.page)) == kinds
