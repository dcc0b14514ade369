"""A member's record at the desk: edited, shared by a family; a membership that moves, and its references."""

import re
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.catalogue.clubs import Club, create_club
from models.members.memberships import Member, Membership, owners
from models.members.record import edit_member
from models.staff.accounts import Role
from models.staff.actions import Action
from tests.console.web.at_the_desk import now, paying_member
from tests.console.web.conftest import Browser
from tests.console.web.test_access import LogIn
from tests.models.gym import BY, ENDPOINT, Gym, grants_of, paid, tell


@pytest.fixture
def desk(log_in: LogIn) -> Browser:
    return log_in(Role.DESK)


@pytest.fixture
def manager(log_in: LogIn) -> Browser:
    return log_in(Role.MANAGER)


@pytest.fixture
def member(gym: Gym) -> Membership:
    return paying_member(gym)


def last_act(session: Session) -> Action:
    return session.scalars(select(Action).order_by(Action.id.desc()).limit(1)).one()


class TestEditing:
    def test_name_and_address(self, desk: Browser, session: Session, member: Membership) -> None:
        desk.get(f"/members/{member.member_id}")
        assert "Edit" in desk.text
        path, old = f"/members/{member.member_id}/edit", member.member.email
        desk.get(path)
        desk.post(path, name="Ada Byron", email="byron@example.com", reason="misspelt at sign-up")
        assert "Ada Byron <byron@example.com> is saved." in desk.text
        session.expire_all()
        assert (member.member.name, member.member.email) == ("Ada Byron", "byron@example.com")
        act = last_act(session)
        assert (act.actor, act.subject, act.reason) == (
            "desk@example.com",
            f"member {member.member_id}: email {old} -> byron@example.com",
            "misspelt at sign-up",
        )

    def test_what_cannot_be_saved_stands_beside_its_field(self, desk: Browser, member: Membership) -> None:
        path = f"/members/{member.member_id}/edit"
        desk.get(path)
        assert desk.post(path, name=" ", email="ada@", reason="").status_code == 422
        assert "A name is required." in desk.text
        desk.post(path, name="Ada", email="ada@", reason="")
        assert re.search(r'id="email-errors"[^<]*<div>[^<]*is not an e-mail address', desk.page)

    def test_an_address_that_is_known_is_asked_about(
        self, desk: Browser, gym: Gym, session: Session, member: Membership
    ) -> None:
        other = gym.join().member
        session.commit()
        path = f"/members/{member.member_id}/edit"
        desk.get(path)
        assert "another person" not in desk.text
        sent = {"name": "Ada", "email": other.email, "reason": ""}
        assert desk.post(path, **sent).status_code == 422
        assert f"Member {other.id} has this address already." in desk.text
        assert f"Ada ({other.id}) has this address." in desk.text
        desk.post(path, **sent, another_person="y")
        assert "is saved" in desk.text
        session.expire_all()
        assert (member.member.email, member.member.shares_email) == (other.email, True)

    def test_two_who_edit_do_not_take_back_each_others_change(
        self, desk: Browser, session: Session, member: Membership
    ) -> None:
        path = f"/members/{member.member_id}/edit"
        desk.get(path)
        was = re.search(r'name="was"[^>]*value="([^"]*)"', desk.page)
        assert was
        edit_member(session, member.member, name="Countess", by=BY)
        session.commit()
        desk.post(path, name="Ada", email="new@example.com", reason="", was=was[1].replace("&#34;", '"'))
        session.expire_all()
        assert (member.member.name, member.member.email) == ("Countess", "new@example.com")


class TestFamilies:
    @pytest.fixture
    def form(self, gym: Gym, member: Membership) -> dict[str, object]:
        return {
            "key": str(uuid4()), "club": gym.club.id, "offer": gym.offer.id, "term": gym.term.id,
            "items": [gym.spin.id], "email": member.member.email, "name": "Ben", "endpoint": "", "reference": "",
        }  # fmt: skip

    def send(self, desk: Browser, form: dict[str, object], **more: object) -> None:
        """Twice, as the page asks who is meant."""
        desk.post("/sign-up/", **form, **more)
        [known] = re.findall(r'name="known"[^>]*value="([^"]*)"', desk.page)
        desk.post("/sign-up/", **form, **more, known=known)

    def test_another_person_with_the_same_address(
        self, desk: Browser, session: Session, member: Membership, form: dict[str, object]
    ) -> None:
        desk.get("/sign-up/")
        desk.post("/sign-up/", **form)
        assert "It is another person with the same address" in desk.text
        self.send(desk, form, who="another")
        assert "Signed up: Ben, Gold, Monthly." in desk.text
        people = session.scalars(select(Member).order_by(Member.id)).all()
        assert [(one.name, one.email, one.shares_email) for one in people] == [
            ("Ada", member.member.email, False),
            ("Ben", member.member.email, True),
        ]

    def test_of_several_one_has_to_be_chosen(
        self, desk: Browser, session: Session, member: Membership, form: dict[str, object]
    ) -> None:
        desk.get("/sign-up/")
        self.send(desk, form, who="another")
        ben = session.scalars(select(Member.id).where(Member.name == "Ben")).one()
        form["key"] = str(uuid4())
        for wrong in ({}, {"who": "999999"}):
            self.send(desk, form, **wrong)
            assert "Choose whose membership it is." in desk.text
        assert f"Ada ({member.member_id}) and Ben ({ben}) have this address" in desk.text
        self.send(desk, form, who=str(ben))
        count = select(func.count()).select_from(Membership).where(Membership.member_id == ben)
        assert session.scalar(count) == 2

    def test_from_the_members_page_it_is_the_members(
        self, desk: Browser, session: Session, member: Membership, form: dict[str, object]
    ) -> None:
        desk.get("/sign-up/")
        self.send(desk, form, who="another")
        desk.get(f"/members/{member.member_id}")
        [link] = re.findall(r'href="(/sign-up/[^"]*)"[^>]*>Sign up for another', desk.page)
        desk.get(link.replace("&amp;", "&"))
        checked = re.search(rf'name="who"[^>]*value="{member.member_id}"', desk.page)
        assert checked
        assert re.search(rf'checked[^>]*name="who"[^>]*value="{member.member_id}"', desk.page)

    def test_an_address_that_is_corrected_leaves_the_choice_behind(
        self, desk: Browser, session: Session, member: Membership, form: dict[str, object]
    ) -> None:
        desk.get("/sign-up/")
        desk.post("/sign-up/", **form, who=str(member.member_id))
        desk.post("/sign-up/", **form | {"email": "ben@example.com"}, who=str(member.member_id))
        assert "Signed up: Ben, Gold, Monthly." in desk.text

    def test_the_log_and_the_events_ask_who_is_meant(
        self, log_in: LogIn, gym: Gym, session: Session, member: Membership
    ) -> None:
        other = gym.join().member
        edit_member(session, other, email=member.member.email, another_person=True, by=BY)
        session.commit()
        admin = log_in(Role.ADMIN)
        for path in ("/log/?member={}", "/operations/events/?find={}&by=member"):
            assert admin.get(path.format(member.member.email)).status_code == 422
            assert f"say which one by the id: {member.member_id} (Ada), {other.id} (Ada)" in admin.text
            assert admin.get(path.format(f"%23{other.id}")).status_code == 200
            assert admin.get(path.format(other.id)).status_code == 200


class TestMovingToAnotherClub:
    @pytest.fixture
    def uptown(self, session: Session) -> Club:
        club = create_club(session, name="Uptown", time_zone="America/New_York", currency="USD")
        create_club(session, name="Paris", time_zone="Europe/Paris", currency="EUR")
        session.commit()
        return club

    def test_after_its_preview(self, manager: Browser, session: Session, member: Membership, uptown: Club) -> None:
        path = f"/memberships/{member.id}/club"
        manager.get(path)
        assert "count by the days of Uptown." in manager.text
        assert "2 grants with sessions left keep their last day" in manager.text
        assert "Paris" not in manager.text
        manager.post(path, club=uptown.id, reason="moved house")
        assert "It is at Uptown now." in manager.text
        assert "it was at Downtown: payments made before count by its days" in manager.text
        session.expire_all()
        assert member.club.name == "Uptown"
        assert last_act(session).reason == "moved house"

    def test_what_is_refused_changes_nothing(
        self, manager: Browser, gym: Gym, session: Session, member: Membership, uptown: Club
    ) -> None:
        path = f"/memberships/{member.id}/club"
        manager.get(f"{path}?club={gym.club.id}")
        assert "is at 'Downtown' already" in manager.text
        manager.get(path)
        assert manager.post(path, club=uptown.id, reason="").status_code == 422
        tell(session, paid("in_2", "sub_ada", at=now() - timedelta(hours=1)), now=now())
        assert manager.post(path, club=uptown.id, reason="moved", shown="other").status_code == 422
        assert "This is not what the preview said" in manager.text
        session.expire_all()
        assert member.club is gym.club

    def test_without_another_club_there_is_nothing_to_choose(self, manager: Browser, member: Membership) -> None:
        manager.get(f"/memberships/{member.id}/club")
        assert "There is no other club whose dues are in USD." in manager.text


class TestReferences:
    def test_moved_to_whom_a_search_finds(
        self, manager: Browser, gym: Gym, session: Session, member: Membership
    ) -> None:
        other = gym.join()
        edit_member(session, other.member, name="Grace Hopper", by=BY)
        session.commit()
        path = f"/memberships/{member.id}/references"
        manager.get(f"/memberships/{member.id}")
        assert "Move or remove sub_ada" in manager.text
        manager.get(f"{path}?q=Grace")
        assert f"membership {other.id}: Gold at Downtown · found by name" in manager.text
        sent = {"which": f"{ENDPOINT} sub_ada", "into": str(other.id)}
        manager.get(f"{path}?which={ENDPOINT}+sub_ada&into={other.id}")
        assert f"Payments to come with it count for membership {other.id}." in manager.text
        assert f"1 payment that it has matched stays with membership {member.id}." in manager.text
        manager.post(path, **sent, reason="her contract")
        assert owners(session, ENDPOINT, "sub_ada") == [other.id]
        tell(session, paid("in_2", "sub_ada", at=now()), now=now())
        assert len(grants_of(session, member)) == len(grants_of(session, other)) == 2
        assert "No billing reference yet" in manager.text

    def test_removed(self, manager: Browser, session: Session, member: Membership) -> None:
        path = f"/memberships/{member.id}/references"
        manager.get(path)
        assert "Choose whose it becomes." in manager.text
        manager.get(f"{path}?into=nobody")
        assert "wait in review until a membership has it" in manager.text
        assert manager.post(path, which=f"{ENDPOINT} sub_ada", reason="gone").status_code == 422
        manager.get(f"{path}?into=nobody")
        manager.post(path, which=f"{ENDPOINT} sub_ada", into="nobody", reason="gone")
        assert owners(session, ENDPOINT, "sub_ada") == []
        manager.get(path)
        assert "This membership has no billing reference." in manager.text

    @pytest.mark.parametrize("into", ["", "0", "999999", "x"])
    def test_to_nobody_who_is_there(self, manager: Browser, session: Session, member: Membership, into: str) -> None:
        path = f"/memberships/{member.id}/references"
        assert manager.get(f"{path}?which={ENDPOINT}+sub_ada&into={into}").status_code == 200
        assert manager.post(path, which=f"{ENDPOINT} sub_ada", into=into, reason="gone").status_code == 422
        assert owners(session, ENDPOINT, "sub_ada") == [member.id]

    def test_a_reference_that_it_does_not_have(self, manager: Browser, member: Membership) -> None:
        manager.get(f"/memberships/{member.id}/references?which={ENDPOINT}+sub_other&into=nobody")
        assert f"There is no billing reference of membership {member.id}: 'sub_other'." in manager.text
