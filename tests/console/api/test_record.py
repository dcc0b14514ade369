"""A member's record by programs: edited, shared by a family; a membership that moves, and its references."""

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from models.catalogue.clubs import Club, create_club
from models.members.memberships import Member, owners
from models.staff.actions import Action
from tests.console.api.conftest import Caller, Json, Paid, answered, posted
from tests.models.gym import Gym, fresh


def sign_up(gym: Gym, email: str, **more: object) -> Json:
    picks = [gym.spin.id, gym.training.id]
    wish = {"email": email, "name": "Ben", "club_id": gym.club.id, "payment_term_id": gym.term.id, "item_ids": picks}
    return wish | more


def problem(answer: Json) -> tuple[str, str]:
    return answer["type"].rpartition("/")[2], answer["errors"][0]["pointer"]


class TestMembers:
    def test_name_and_address_are_edited(self, api: Caller, ada: Paid, session: Session) -> None:
        path, old = f"/members/{ada.id}", ada.membership.member.email
        shown = answered(api.patch(path, name="Ada Byron", email="byron@example.com", reason="misspelt"))
        assert (shown["name"], shown["email"]) == ("Ada Byron", "byron@example.com")
        acts = session.scalars(select(Action).where(Action.verb == "edit member").order_by(Action.id)).all()
        assert [(act.subject, act.reason) for act in acts] == [
            (f"member {ada.id}: name Ada -> Ada Byron", "misspelt"),
            (f"member {ada.id}: email {old} -> byron@example.com", "misspelt"),
        ]
        assert answered(api.patch(path)) == shown

    @pytest.mark.parametrize(
        ("wish", "field"), [({"email": "ada"}, "email"), ({"name": " "}, "name"), ({"name": None}, "name")]
    )
    def test_what_no_one_is_called(self, api: Caller, ada: Paid, wish: Json, field: str) -> None:
        assert answered(api.patch(f"/members/{ada.id}", **wish), 422)["errors"][0]["pointer"] == f"#/{field}"

    def test_a_family_shares_an_address(self, api: Caller, gym: Gym, ada: Paid, session: Session) -> None:
        address = ada.membership.member.email
        made = api.make("/memberships", sign_up(gym, address, another_person=True))
        assert made["member_id"] != ada.id
        shown = api.data("/members", email=address.upper())
        assert [(one["id"], one["name"]) for one in shown] == [(ada.id, "Ada"), (made["member_id"], "Ben")]
        asked = posted(api.post("/memberships", sign_up(gym, address), fresh("key")), 422)
        assert problem(asked) == ("several-members", "#/email")
        assert f"{ada.id} (Ada), {made['member_id']} (Ben)" in asked["detail"]
        further = api.make("/memberships", sign_up(gym, address, member_id=made["member_id"]))
        assert further["member_id"] == made["member_id"]
        wrong = posted(api.post("/memberships", sign_up(gym, "x@example.com", member_id=ada.id), fresh("key")), 422)
        assert problem(wrong) == ("not-found", "#/member_id")
        assert session.scalar(select(Member).where(Member.email == "x@example.com")) is None

    def test_a_known_address_is_refused_unless_it_is_said(self, api: Caller, gym: Gym, ada: Paid) -> None:
        other = gym.join().member
        gym.session.commit()
        path = f"/members/{other.id}"
        refused = answered(api.patch(path, email=ada.membership.member.email), 409)
        assert problem(refused) == ("address-known", "#/email")
        assert ada.membership.member.email not in refused["detail"]
        assert answered(api.patch(path, email=ada.membership.member.email, another_person=True))["id"] == other.id

    def test_a_search_among_those_with_an_address(self, api: Caller, gym: Gym, ada: Paid) -> None:
        gym.join()
        gym.session.commit()
        assert [one["id"] for one in api.data("/members", q="ada", email=ada.membership.member.email)] == [ada.id]


class TestMoves:
    @pytest.fixture
    def uptown(self, session: Session) -> Club:
        club = create_club(session, name="Uptown", time_zone="America/New_York", currency="USD")
        session.commit()
        return club

    def test_a_membership_moves_to_another_club(self, manager: Caller, gym: Gym, ada: Paid, uptown: Club) -> None:
        path = f"/memberships/{ada.membership.id}/club-changes"
        said = answered(manager.get(path, club_id=uptown.id))["what"]
        assert "count by the days of Uptown." in said
        body = {"club_id": uptown.id, "reason": "Moved house"}
        moved = posted(manager.post(path, body, "move"))
        assert moved["club_id"] == uptown.id
        assert [one["club_id"] for one in moved["earlier_clubs"]] == [gym.club.id]
        assert posted(manager.post(path, body, "move")) == moved
        again = posted(manager.post(path, body, "again"), 422)
        assert problem(again) == ("same-club", "#/club_id")
        grants = manager.data(f"/members/{ada.id}/grants")
        assert {one["time_zone"] for one in grants} == {"America/Chicago"}

    def test_who_may_not(self, api: Caller, ada: Paid, uptown: Club) -> None:
        path = f"/memberships/{ada.membership.id}"
        posted(api.post(f"{path}/club-changes", {"club_id": uptown.id, "reason": "x"}, "k"), 403)
        body = {"endpoint": "stripe", "reference": "sub_ada", "reason": "x"}
        posted(api.post(f"{path}/billing-changes", body, "k"), 403)

    def test_a_reference_is_moved_and_removed(self, manager: Caller, gym: Gym, ada: Paid, session: Session) -> None:
        other, billing = gym.join(), ada.membership.billing[0]
        session.commit()
        here, there = (f"/memberships/{one.id}/billing-changes" for one in (ada.membership, other))
        key = {"endpoint": billing.endpoint, "reference": billing.reference}
        wish = {**key, "to_membership_id": other.id}
        said = answered(manager.get(here, **wish))["what"]
        assert said.startswith(f"Payments to come with it count for membership {other.id}.")
        shown = posted(manager.post(here, {**wish, "reason": "contract"}, "move"))
        assert (shown["id"], shown["billing_references"]) == (ada.membership.id, [])
        assert owners(session, *key.values()) == [other.id]
        same = posted(manager.post(there, {**wish, "reason": "x"}, "same"), 422)
        assert problem(same) == ("same-membership", "#/to_membership_id")
        nobody = posted(manager.post(there, {**wish, "to_membership_id": 10**9, "reason": "x"}, "nobody"), 422)
        assert problem(nobody) == ("not-found", "#/to_membership_id")
        posted(manager.post(there, {**key, "reason": "gone"}, "gone"))
        assert owners(session, *key.values()) == []
        missing = posted(manager.post(there, {**key, "reason": "gone"}, "missing"), 422)
        assert problem(missing) == ("not-found", "#/reference")
        answered(manager.get(there, **key), 422)
