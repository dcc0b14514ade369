"""Sign-up at the desk: one page, whose choices keep what was typed, and whose picks follow the offer's rules."""

import re
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from models.catalogue.clubs import Club
from models.catalogue.tables import Offer, PaymentTerm
from models.members.lookup import find_member
from models.members.memberships import BillingReference, Member, Membership
from models.staff.accounts import Role
from models.staff.actions import Action
from tests.console.web.conftest import Browser
from tests.models.gym import CLASSES, NOW, Gym, add_term, fresh, grants_of, paid, session_item, tell

LogIn = Callable[[Role], Browser]


@pytest.fixture
def desk(log_in: LogIn, gym: Gym) -> Browser:
    return log_in(Role.DESK)


def fields(gym: Gym, **more: Any) -> dict[str, Any]:
    """What a browser sends for a new member with one class item."""
    sent = {
        "key": str(uuid4()),
        "club": gym.club.id,
        "offer": gym.offer.id,
        "term": gym.term.id,
        "items": [gym.spin.id],
        "email": fresh("new") + "@example.com",
        "name": "Nora New",
    }
    return sent | more


def sold(session: Session) -> list[Membership]:
    return list(session.scalars(select(Membership).order_by(Membership.id)))


def third_item(gym: Gym, *, required: bool = False) -> None:
    yoga = session_item("Yoga")
    gym.session.add(yoga)
    gym.session.flush()
    bucket = gym.offer.add_bucket(yoga)
    gym.session.flush()
    gym.term.set_bucket(bucket, quantity=5, days_to_expire=45)
    gym.offer.set_required(bucket, required)
    gym.session.commit()


def yearly(gym: Gym) -> PaymentTerm:
    """A further term of Gold, which gives no sessions of Spin, and 24 of Training."""
    term = PaymentTerm(name="Yearly", dues_minor=90000, currency="USD")
    add_term(gym.offer, term, {gym.offer.buckets[1]: (24, 0)})
    gym.session.commit()
    return term


class TestChoosing:
    def test_where_there_is_one_of_each_nothing_has_to_be_chosen(self, desk: Browser) -> None:
        desk.get("/sign-up/")
        assert "Each $90.00 monthly payment gives 8 Spin sessions (30 days) and 2 Training sessions" in desk.text
        assert "0 of 2 picked; choose between 1 and 2." in desk.text

    def test_a_club_is_chosen_first_then_one_of_its_offers(self, desk: Browser, gym: Gym, session: Session) -> None:
        tokyo = Club(name="Tokyo", time_zone="Asia/Tokyo", currency="JPY")
        silver = Offer(
            name="Silver",
            min_buckets=0,
            max_buckets=1,
            terms=[PaymentTerm(name="Weekly", dues_minor=900, currency="USD")],
        )
        draft = Offer(
            name="Draft",
            min_buckets=0,
            max_buckets=1,
            terms=[PaymentTerm(name="Weekly", dues_minor=900, currency="USD")],
        )
        session.add_all([tokyo, silver, draft])
        silver.publish()
        session.commit()
        desk.get("/sign-up/")
        assert "Choose a club" in desk.text
        assert "Gold" not in desk.text
        desk.get(f"/sign-up/?club={tokyo.id}")
        publish = "Publish one in the Offer Builder, with a payment term in JPY. New offer: a manager can do that."
        assert f"No offer is on sale at Tokyo. {publish}" in desk.text
        desk.get(f"/sign-up/?club={gym.club.id}")
        assert "Choose an offer Gold Silver" in desk.text
        desk.get(f"/sign-up/?club={gym.club.id}&offer={silver.id}")
        assert "This offer has no session items: its dues give no sessions." in desk.text
        assert "Spin" not in desk.text

    def test_a_retired_payment_term_is_not_offered(self, desk: Browser, gym: Gym, session: Session) -> None:
        further = yearly(gym)
        desk.get("/sign-up/")
        assert "Yearly" in desk.text
        further.retire(NOW)
        session.commit()
        desk.get("/sign-up/")
        assert "Yearly" not in desk.text

    def test_choosing_another_offer_keeps_what_was_typed(self, desk: Browser, gym: Gym) -> None:
        desk.get(
            f"/sign-up/?club={gym.club.id}&offer={gym.offer.id}&name=Nora+N&email=n%40x.org&reference=sub_9&items={gym.spin.id}"
        )
        for kept in ("Nora N", "n@x.org", "sub_9"):
            assert f'value="{kept}"' in desk.page
        assert "1 of 2 picked" in desk.text

    def test_the_items_are_those_of_the_chosen_payment_term(self, desk: Browser, gym: Gym) -> None:
        further = yearly(gym)
        desk.get("/sign-up/")
        assert "Choose a payment term: it says which session items there are to pick." in desk.text
        assert 'name="items"' not in desk.page.replace('type="hidden" name="items"', "")
        desk.get(f"/sign-up/?term={gym.term.id}")
        assert "Spin · Class · 8 with each payment, to be used within 30 days" in desk.text
        assert "0 of 2 picked; choose between 1 and 2." in desk.text
        desk.get(f"/sign-up/?term={further.id}&items={gym.spin.id}&items={gym.training.id}&name=Nora+N")
        assert "Spin · Class" not in desk.text
        assert "No longer picked, because Yearly gives no sessions of it: Spin." in desk.text
        assert "Training · Personal training · 24 with each payment, never expiring" in desk.text
        assert "1 of 1 picked; choose 1." in desk.text
        assert 'value="Nora N"' in desk.page

    def test_what_is_ticked_waits_for_a_payment_term(self, desk: Browser, gym: Gym) -> None:
        yearly(gym)
        desk.get(f"/sign-up/?items={gym.spin.id}&items=x")
        assert desk.page.count('name="items"') == 1
        assert f'<input type="hidden" name="items" value="{gym.spin.id}">' in desk.page

    def test_a_club_at_which_the_offer_is_not_sold_loses_nothing(
        self, desk: Browser, gym: Gym, session: Session
    ) -> None:
        tokyo = Club(name="Tokyo", time_zone="Asia/Tokyo", currency="JPY")
        session.add(tokyo)
        session.commit()
        chosen = f"offer={gym.offer.id}&term={gym.term.id}&items={gym.training.id}&endpoint=standard&reference=sub_9"
        desk.get(f"/sign-up/?club={tokyo.id}&{chosen}")
        kept = "&".join(
            "=".join(pair) for pair in re.findall(r'<input type="hidden" name="(\w+)" value="(\w+)">', desk.page)
        )
        desk.get(f"/sign-up/?club={gym.club.id}&{kept}")
        assert "1 of 2 picked" in desk.text
        assert re.search(rf'value="{gym.training.id}" id="items-{gym.training.id}" checked', desk.page)
        assert 'selected value="standard"' in desk.page
        assert 'value="sub_9"' in desk.page

    def test_what_the_link_brought_is_kept_before_there_is_a_field_for_it(
        self, desk: Browser, gym: Gym, session: Session
    ) -> None:
        session.add(Club(name="Uptown", time_zone="America/New_York", currency="USD"))
        session.commit()
        desk.get("/sign-up/?email=nora%40example.com&name=%22Nora%22")
        assert "Choose a club" in desk.text
        assert '<input type="hidden" name="email" value="nora@example.com">' in desk.page
        assert '<input type="hidden" name="name" value="&#34;Nora&#34;">' in desk.page

    def test_an_empty_gym_says_what_comes_first(self, log_in: LogIn) -> None:
        desk = log_in(Role.DESK)
        desk.get("/sign-up/")
        assert "There is no club yet. Members sign up at a club. New club: a manager can do that." in desk.text

    @pytest.mark.parametrize(
        "asked",
        [
            "club=x",
            "club=-1",
            "club=9" + "9" * 30,
            "offer=%00",
            "items=x&items=%F0%9F%98%80",
            "term=1e3",
            "club=0&key=x",
        ],
    )
    def test_garbage_chooses_nothing(self, desk: Browser, asked: str) -> None:
        assert desk.get(f"/sign-up/?{asked}").status_code == 200

    def test_each_page_has_a_key_of_its_own_whatever_the_address_says(self, desk: Browser) -> None:
        keys = []
        for _ in range(2):
            desk.get("/sign-up/?key=mine")
            keys += re.findall(r'name="key"[^>]*value="([^"]+)"', desk.page)
        assert len({*keys, "mine"}) == 3

    def test_the_token_of_the_form_is_never_in_its_address(self, desk: Browser) -> None:
        desk.get("/sign-up/")
        assert re.search(r'<button[^>]*name="csrf_token"[^>]*formmethod="post"', desk.page)
        assert 'type="hidden" value="' + desk.token not in desk.page


class TestSigningUp:
    def test_a_new_member_gets_the_membership_and_its_page(self, desk: Browser, gym: Gym, session: Session) -> None:
        desk.get("/sign-up/")
        answer = desk.post("/sign-up/", **fields(gym, email="nora@example.com", items=[gym.spin.id, gym.training.id]))
        [membership] = sold(session)
        assert answer.request.path == f"/memberships/{membership.id}"
        assert "Signed up: Nora New, Gold, Monthly." in desk.text
        assert (membership.member.email, membership.club_id) == ("nora@example.com", gym.club.id)
        pins = {pin.item_id: pin.quantity for pin in membership.versions[0].pinned}
        assert pins == {gym.spin.id: CLASSES, gym.training.id: 2}
        act = session.scalars(select(Action).where(Action.verb == "sign up")).one()
        assert (act.actor, act.origin, act.member_id) == ("desk@example.com", "127.0.0.1", membership.member_id)

    def test_sent_twice_it_counts_once(self, desk: Browser, gym: Gym, session: Session) -> None:
        desk.get("/sign-up/")
        sent = fields(gym)
        for _ in range(2):
            assert desk.post("/sign-up/", follow=False, **sent).status_code == 302
        assert len(sold(session)) == 1

    def test_sent_again_with_other_content_it_says_so(self, desk: Browser, gym: Gym, session: Session) -> None:
        desk.get("/sign-up/")
        sent = fields(gym)
        desk.post("/sign-up/", follow=False, **sent)
        desk.get("/sign-up/")
        assert desk.post("/sign-up/", **sent | {"email": "other@example.com"}).status_code == 422
        assert "This form was sent before" in desk.text
        assert len(sold(session)) == 1

    def test_without_a_key_nothing_is_done(self, desk: Browser, gym: Gym, session: Session) -> None:
        desk.get("/sign-up/")
        assert desk.post("/sign-up/", **fields(gym, key="")).status_code == 400
        assert not sold(session)

    def test_a_single_session_item_is_included(self, desk: Browser, gym: Gym, session: Session) -> None:
        solo = Offer(name="Solo", min_buckets=0, max_buckets=1)
        session.add(solo)
        session.flush()
        monthly = PaymentTerm(name="Monthly", dues_minor=100, currency="USD")
        add_term(solo, monthly, {solo.add_bucket(gym.spin): (4, 30)})
        solo.add_term(PaymentTerm(name="Dues only", dues_minor=50, currency="USD"))
        solo.publish()
        session.commit()
        monthly, dues_only = (term.id for term in solo.terms)
        desk.get(f"/sign-up/?offer={solo.id}&term={monthly}")
        assert "Spin · Class · included · 4 with each payment, to be used within 30 days" in desk.text
        desk.post("/sign-up/", **fields(gym, offer=solo.id, term=monthly, items=[]))
        desk.get(f"/sign-up/?offer={solo.id}&term={dues_only}")
        assert "This payment term gives no sessions: there is nothing to pick." in desk.text
        desk.post("/sign-up/", **fields(gym, offer=solo.id, term=dues_only, items=[]))
        assert [[pin.item_id for pin in one.versions[0].pinned] for one in sold(session)] == [[gym.spin.id], []]

    def test_a_required_item_is_ticked_and_locked_and_need_not_be_sent(
        self, desk: Browser, gym: Gym, session: Session
    ) -> None:
        third_item(gym, required=True)
        desk.get("/sign-up/")
        assert "Yoga · Class · required" in desk.text
        assert "1 of 2 picked" in desk.text
        desk.post("/sign-up/", **fields(gym))
        [membership] = sold(session)
        assert {pin.item.name for pin in membership.versions[0].pinned} == {"Spin", "Yoga"}


class TestTermsThatChange:
    """Between the page and the form, a manager edits the offer."""

    def test_other_terms_than_those_shown_are_refused_and_the_new_ones_shown(
        self, desk: Browser, gym: Gym, session: Session
    ) -> None:
        desk.get("/sign-up/")
        sent = fields(gym)
        gym.term.dues_minor = 9900
        session.commit()
        assert desk.post("/sign-up/", **sent).status_code == 422
        assert "The terms have changed meanwhile: look again." in desk.text
        assert "Each $99.00 monthly payment gives" in desk.text
        assert not sold(session)
        assert desk.post("/sign-up/", **sent).status_code == 200
        assert [one.versions[0].dues_minor for one in sold(session)] == [9900]

    def test_other_sessions_and_another_choice_of_items_are_other_terms(
        self, desk: Browser, gym: Gym, session: Session
    ) -> None:
        spin, training = gym.offer.buckets
        for change in (
            lambda: gym.term.set_bucket(spin, quantity=9, days_to_expire=30),
            lambda: gym.term.set_bucket(spin, quantity=9, days_to_expire=31),
            lambda: gym.offer.set_required(training, True),
            lambda: gym.offer.set_bucket_limits(2, 2),
        ):
            desk.get("/sign-up/")
            change()
            session.commit()
            assert desk.post("/sign-up/", **fields(gym)).status_code == 422
            assert "The terms have changed meanwhile" in desk.text
        assert not sold(session)

    def test_another_name_is_not(self, desk: Browser, gym: Gym, session: Session) -> None:
        desk.get("/sign-up/")
        gym.term.name = gym.offer.name = "Every month"
        session.commit()
        assert desk.post("/sign-up/", **fields(gym)).status_code == 200
        assert len(sold(session)) == 1

    def test_a_form_that_was_sent_before_is_the_same_sign_up(self, desk: Browser, gym: Gym, session: Session) -> None:
        desk.get("/sign-up/")
        sent = {"shown": desk.shown, **fields(gym)}
        desk.post("/sign-up/", **sent)
        gym.term.dues_minor = 9900
        session.commit()
        assert desk.post("/sign-up/", **sent).status_code == 200
        assert len(sold(session)) == 1


class TestRefusals:
    def test_an_item_that_does_not_exist_is_not_dropped(self, desk: Browser, gym: Gym, session: Session) -> None:
        desk.get("/sign-up/")
        assert desk.post("/sign-up/", **fields(gym, items=[gym.spin.id, 7777])).status_code == 422
        assert "There is no session item 7777." in desk.text
        assert not sold(session)

    def test_too_many_picks(self, desk: Browser, gym: Gym, session: Session) -> None:
        third_item(gym)
        every = [bucket.item_id for bucket in gym.offer.buckets]
        desk.get("/sign-up/")
        assert desk.post("/sign-up/", **fields(gym, items=every)).status_code == 422
        assert "3 of 2 picked; choose between 1 and 2. 'Gold' allows at most 2 session items; 3 picked." in desk.text
        assert 'value="Nora New"' in desk.page
        assert not sold(session)

    def test_all_that_is_wrong_is_told_at_once(self, desk: Browser, gym: Gym) -> None:
        desk.get("/sign-up/")
        desk.post("/sign-up/", **fields(gym, items=[], email="", name=""))
        for told in (
            "asks for at least 1 session item",
            "Type the member's e-mail address.",
            "Type the member's name.",
        ):
            assert told in desk.text

    def test_an_item_of_which_the_payment_term_gives_none(self, desk: Browser, gym: Gym, session: Session) -> None:
        further = yearly(gym)
        desk.get(f"/sign-up/?term={further.id}")
        assert desk.post("/sign-up/", **fields(gym, term=further.id)).status_code == 422
        assert "The payment term 'Yearly' gives no sessions of 'Spin': leave it out, or choose another" in desk.text
        assert not sold(session)

    def test_a_payment_term_under_which_nothing_can_be_picked_enough(
        self, desk: Browser, gym: Gym, session: Session
    ) -> None:
        """As an offer can be on sale since before that was refused."""
        further = yearly(gym)
        further.bucket_terms.clear()
        session.commit()
        desk.get(f"/sign-up/?term={further.id}")
        assert desk.post("/sign-up/", **fields(gym, term=further.id, items=[])).status_code == 422
        assert "Nobody could buy 'Gold' under its payment term 'Yearly'" in desk.text
        assert not sold(session)

    def test_too_few_picks(self, desk: Browser, gym: Gym, session: Session) -> None:
        desk.get("/sign-up/")
        assert desk.post("/sign-up/", **fields(gym, items=[])).status_code == 422
        assert "'Gold' asks for at least 1 session item" in desk.text
        assert not sold(session)

    def test_an_item_that_the_offer_does_not_have_any_more(self, desk: Browser, gym: Gym, session: Session) -> None:
        yoga = session_item("Yoga")
        session.add(yoga)
        session.commit()
        desk.get("/sign-up/")
        assert desk.post("/sign-up/", **fields(gym, items=[gym.spin.id, yoga.id])).status_code == 422
        assert "'Yoga' is not a session item of 'Gold'" in desk.text
        assert not sold(session)

    @pytest.mark.parametrize(
        ("wrong", "told"),
        [
            ({"email": "nora"}, "'nora' is not an e-mail address."),
            ({"email": ""}, "Type the member's e-mail address."),
            ({"email": "n" * 330}, "Field cannot be longer than 320 characters."),
            ({"name": " "}, "A name is required."),
            ({"name": "n" * 201}, "Field cannot be longer than 200 characters."),
            ({"term": ""}, None),
            ({"term": "77"}, "Choose a payment term."),
            ({"offer": "77"}, "Choose an offer"),
            ({"club": "77"}, "Choose a club"),
            ({"endpoint": "elsewhere", "reference": "sub_1"}, "Choose the endpoint that the reference is of."),
            ({"reference": "r" * 256}, "Field cannot be longer than 255 characters."),
            ({"items": ["x", "9" * 19, "9" * 40]}, "There is no session item"),
        ],
    )
    def test_what_is_wrong_stands_beside_its_field(
        self, desk: Browser, gym: Gym, session: Session, wrong: dict[str, Any], told: str | None
    ) -> None:
        desk.get("/sign-up/")
        answer = desk.post("/sign-up/", **fields(gym, **wrong))
        assert (answer.status_code, len(sold(session))) == ((422, 0) if told else (200, 1))
        assert told is None or told in desk.text

    def test_an_offer_taken_off_sale_meanwhile(self, desk: Browser, gym: Gym, session: Session) -> None:
        desk.get("/sign-up/")
        gym.offer.retire()
        session.commit()
        assert desk.post("/sign-up/", **fields(gym)).status_code == 422
        assert "No offer is on sale at Downtown" in desk.text
        assert not sold(session)

    def test_names_are_shown_as_text(self, desk: Browser, gym: Gym, session: Session) -> None:
        gym.offer.name = "<script>alert(1)</script>"
        session.commit()
        desk.get("/sign-up/?name=%22%3E%3Cscript%3E")
        assert "<script>alert" not in desk.page
        assert '"><script>' not in desk.page


class TestKnownMembers:
    def test_a_link_from_the_member_says_whose_further_membership_it_is(self, desk: Browser, gym: Gym) -> None:
        known = gym.join().member
        gym.session.commit()
        desk.get(f"/sign-up/?email={known.email.upper()}")
        assert "Ada has this address, gains a further membership, and keeps the name." in desk.text
        assert 'value="Ada"' in desk.page

    def test_a_known_address_is_asked_about_once_and_keeps_its_name(
        self, desk: Browser, gym: Gym, session: Session
    ) -> None:
        known = gym.join().member
        session.commit()
        desk.get("/sign-up/")
        sent = fields(gym, email=known.email, name="Somebody Else")
        assert desk.post("/sign-up/", **sent).status_code == 422
        assert "If that is meant, sign up again; if not, correct the address." in desk.text
        assert len(sold(session)) == 1
        [told] = re.findall(r'name="known"[^>]*value="([^"]*)"', desk.page)
        desk.post("/sign-up/", **sent, known=told)
        assert "Signed up: Ada, Gold, Monthly." in desk.text
        member = find_member(session, known.email)
        assert member
        assert [one.name for one in session.scalars(select(Member))] == ["Ada"]
        assert len(sold(session)) == 2

    @pytest.mark.parametrize("known", ["", "0", "x", "77"])
    def test_only_the_right_answer_counts(self, desk: Browser, gym: Gym, session: Session, known: str) -> None:
        member = gym.join().member
        session.commit()
        desk.get("/sign-up/")
        assert desk.post("/sign-up/", **fields(gym, email=member.email, known=known)).status_code == 422
        assert len(sold(session)) == 1


class TestBilling:
    def test_payments_that_waited_are_credited_at_once(self, desk: Browser, gym: Gym, session: Session) -> None:
        tell(session, paid("in_1", "sub_9"), paid("in_2", "sub_9"), paid("in_3", "sub_other"))
        desk.get("/sign-up/")
        desk.post("/sign-up/", **fields(gym, endpoint="stripe", reference=" sub_9 "))
        assert "Signed up: Nora New, Gold, Monthly. 2 payments that had waited for it are settled now." in desk.text
        [membership] = sold(session)
        assert [grant.quantity for grant in grants_of(session, membership)] == [CLASSES, CLASSES]
        assert session.scalars(select(BillingReference).filter_by(endpoint="stripe", reference="sub_9")).one()

    def test_without_a_reference_none_is_added(self, desk: Browser, gym: Gym, session: Session) -> None:
        desk.get("/sign-up/")
        desk.post("/sign-up/", **fields(gym, endpoint="stripe", reference=" "))
        assert len(sold(session)) == 1
        assert not session.scalars(select(BillingReference)).all()

    def test_a_reference_of_somebody_else_undoes_the_sign_up(self, desk: Browser, gym: Gym, session: Session) -> None:
        taken = gym.join("sub_1")
        session.commit()
        desk.get("/sign-up/")
        sent = fields(gym, endpoint="stripe", reference="sub_1")
        assert desk.post("/sign-up/", **sent).status_code == 422
        assert f"'sub_1' on endpoint 'stripe' already belongs to membership {taken.id}." in desk.text
        assert len(sold(session)) == 1
        desk.post("/sign-up/", **sent | {"reference": "sub_2"})
        assert len(sold(session)) == 2


def test_viewers_do_not_sign_up(log_in: LogIn, gym: Gym, session: Session) -> None:
    viewer = log_in(Role.VIEWER)
    viewer.get("/members/")
    assert viewer.get("/sign-up/").status_code == 403
    assert viewer.post("/sign-up/", **fields(gym)).status_code == 403
    assert not sold(session)


def test_a_domain_that_looks_mistyped_is_asked_about_once(desk: Browser, gym: Gym, session: Session) -> None:
    sent = fields(gym, email=fresh("ann") + "@gmial.com")
    desk.get("/sign-up/")
    answer = desk.post("/sign-up/", **sent)
    assert "gmial.com: did you mean gmail.com?" in desk.text
    assert (answer.status_code, sold(session)) == (422, [])
    other = {**sent, "asked_about": sent["email"], "email": fresh("bob") + "@gmai.com"}
    assert desk.post("/sign-up/", **other).status_code == 422
    assert desk.post("/sign-up/", follow=False, **sent, asked_about=sent["email"]).status_code == 302
    assert [one.member.email for one in sold(session)] == [sent["email"]]


def test_the_club_of_the_last_sign_up_is_chosen_again(desk: Browser, gym: Gym, session: Session) -> None:
    session.add(Club(name="Aardvark", time_zone="UTC", currency="USD"))
    session.commit()
    desk.get("/sign-up/")
    assert "Choose a club" in desk.text
    desk.get(f"/sign-up/?club={gym.club.id}")
    assert desk.post("/sign-up/", follow=False, **fields(gym)).status_code == 302
    desk.get("/sign-up/")
    assert f'<option value="{gym.club.id}" selected>' in desk.page
