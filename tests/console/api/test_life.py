"""Freezes and ends by programs: what they move, previews of it, changes, and their undoing."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from models.audit.checks import audit
from models.catalogue.days import last_day
from models.payments.facts import Paid as PaidFact
from models.staff.actions import Action
from tests.console.api.conftest import Caller, Json, answered, posted
from tests.models.gym import DUES, Gym, fresh, tell

CHICAGO = "America/Chicago"
TODAY = datetime.now(ZoneInfo(CHICAGO)).date()
FIRST = TODAY - timedelta(days=40)


def day(number: int) -> date:
    """`Jan 7` is day(7), `Feb 10` day(41): the dues were paid on day(1), forty days ago."""
    return FIRST + timedelta(days=number - 1)


def noon(number: int) -> datetime:
    return datetime.combine(day(number), time(12), ZoneInfo(CHICAGO))


def on(first: int | None = None, last: int | None = None) -> Json:
    """The days of an act as a request has them."""
    days = {"first_day": first, "last_day": last}
    return {name: day(number).isoformat() for name, number in days.items() if number}


class Member:
    """A member with a membership, and what a program sees of it."""

    def __init__(self, manager: Caller, gym: Gym) -> None:
        self.manager, self.gym, self.reference = manager, gym, fresh("sub")
        membership = gym.join(self.reference)
        gym.session.commit()
        self.id, self.member_id = membership.id, membership.member_id

    @property
    def path(self) -> str:
        return f"/memberships/{self.id}"

    def pays(
        self, number: int, amount: int = DUES, *, told: int | None = None, covers: tuple[int, int] | None = None
    ) -> int:
        """Pays on a day; the payment's id."""
        period = (noon(covers[0]), noon(covers[1])) if covers else None
        fact = PaidFact(fresh("in"), noon(number), amount, "USD", (self.reference,), covers=period)
        tell(self.gym.session, fact, now=noon(told or number))
        [payment] = self.manager.data("/payments", reference=fact.payment)
        return int(payment["id"])

    def payment(self, payment_id: int) -> Json:
        return answered(self.manager.get(f"/payments/{payment_id}"))

    def freeze(self, first: int, last: int | None = None) -> Json:
        return self.manager.make(f"{self.path}/freezes", {**on(first, last), "reason": "Broke her arm"})

    def end(self, last: int) -> Json:
        return self.manager.make(f"{self.path}/end", {**on(None, last), "reason": "Moves away"})

    def last_usable(self) -> int | None:
        """The last day on which her Spin sessions can be used."""
        grants = self.manager.data(f"/members/{self.member_id}/grants")
        [spin] = [one for one in grants if one["item"] == "Spin"]
        if spin["expires_at"] is None:
            return None
        return (last_day(datetime.fromisoformat(spin["expires_at"]), CHICAGO) - FIRST).days + 1

    def spin_left(self) -> int:
        grants = self.manager.data(f"/members/{self.member_id}/grants")
        return sum(one["remaining"] for one in grants if one["item"] == "Spin")


@pytest.fixture
def ann(manager: Caller, gym: Gym) -> Member:
    return Member(manager, gym)


def set_term(manager: Caller, gym: Gym, **changes: object) -> None:
    answered(manager.patch(f"/payment-terms/{gym.term.id}", **changes))
    gym.session.expire_all()


class TestFreeze:
    def test_its_days_do_not_count(self, ann: Member, session: Session) -> None:
        ann.pays(1)
        assert ann.last_usable() == 31
        done = ann.freeze(7, 16)
        assert ann.last_usable() == 41
        [moved] = done["moved"]
        assert (moved["item"], moved["remaining_before"], moved["remaining_after"]) == ("Spin", 8, 8)
        assert (moved["last_day_before"], moved["last_day_after"]) == (day(31).isoformat(), day(41).isoformat())
        assert moved["what"].startswith("8 Spin sessions: usable until ")
        logged = session.scalars(select(Action).order_by(Action.id.desc()).limit(1)).one()
        assert (logged.verb, logged.reason, logged.member_id) == ("freeze", "Broke her arm", ann.member_id)
        assert list(audit(session)) == []

    def test_days_of_two_freezes_count_once(self, ann: Member) -> None:
        ann.pays(1)
        ann.freeze(7, 16)
        ann.freeze(15, 19)
        assert ann.last_usable() == 31 + 13

    def test_a_payment_told_late_gets_the_same_day(self, ann: Member) -> None:
        ann.freeze(7, 16)
        ann.pays(1, told=9)
        assert ann.last_usable() == 41

    def test_a_fee_of_a_freeze_gives_nothing_and_is_shown_as_that(self, ann: Member) -> None:
        ann.freeze(1, 31)
        fee = ann.pays(10, 1500, covers=(10, 41))
        shown = ann.payment(fee)
        assert (shown["state"], shown["sessions"], shown["membership_id"]) == ("freeze_fee", [], ann.id)
        assert [one["id"] for one in ann.manager.data("/payments", state="freeze_fee")] == [fee]
        assert ann.manager.data("/reviews") == []

    def test_dues_paid_meanwhile_give_what_the_term_says_and_stand_in_review_if_that_is_nothing(
        self, ann: Member, manager: Caller, gym: Gym
    ) -> None:
        full = Member(manager, gym)
        set_term(manager, gym, frozen_dues="full")
        full = Member(manager, gym)
        for one in (ann, full):
            one.freeze(1, 31)
            one.pays(10)
        assert (ann.spin_left(), full.spin_left()) == (0, 8)
        [review] = manager.data("/reviews", reason="frozen")
        assert review["membership_id"] == ann.id
        [terms] = answered(manager.get(full.path))["terms"]
        assert (terms["frozen_dues"], terms["on_end"], terms["on_end_days"]) == ("full", "keep", None)

    def test_it_is_shown_with_the_membership_and_the_member(self, ann: Member, reader: Caller) -> None:
        assert answered(reader.get(ann.path))["frozen_from"] is None
        assert answered(reader.get(f"/members/{ann.member_id}"))["life"] == []
        ann.freeze(7, 16)
        assert answered(reader.get(ann.path))["frozen_from"] is None, "it is over"
        ann.freeze(39, 44)
        ann.freeze(45, 50)
        ann.freeze(52)
        frozen = {"frozen_from": day(39).isoformat(), "frozen_to": day(50).isoformat(), "ended_on": None}
        assert answered(reader.get(ann.path)).items() >= frozen.items()
        ended = {**frozen, "ended_on": day(60).isoformat()}
        ann.end(60)
        [listed] = reader.data(f"/members/{ann.member_id}/memberships")
        assert listed.items() >= ended.items()
        life = [{"membership_id": ann.id, **ended}]
        found = answered(reader.get(f"/members/{ann.member_id}"))
        assert found["life"] == life
        assert next(one for one in reader.data("/members") if one["id"] == ann.member_id)["life"] == life
        [hit] = reader.data("/members", q=found["email"])
        assert hit["life"] == life

    def test_until_further_notice_then_with_a_last_day_then_undone(self, ann: Member, reader: Caller) -> None:
        ann.pays(1)
        begun = ann.freeze(7)
        assert (begun["last_day"], ann.last_usable()) == (None, None)
        shown = answered(reader.get(ann.path))
        assert (shown["frozen_from"], shown["frozen_to"]) == (day(7).isoformat(), None)
        path = f"/freezes/{begun['id']}"
        change = {"last_day": day(16).isoformat(), "reason": "Well again"}
        planned = answered(reader.get(f"{path}/preview", last_day=day(16).isoformat()))
        done = answered(ann.manager.patch(path, **change))
        assert [one["last_day_after"] for one in planned["moves"]] == [day(41).isoformat()]
        assert (done["id"], done["last_day"], done["reason"]) == (begun["id"], day(16).isoformat(), "Well again")
        assert ann.last_usable() == 41
        again = answered(ann.manager.patch(path, **change))
        assert again == {**done, "moved": []}, "a repetition changes nothing"
        later = answered(ann.manager.patch(path, last_day=day(18).isoformat(), reason="A relapse"))
        assert (later["id"], ann.last_usable()) == (begun["id"], 43)
        [listed] = reader.data(f"{ann.path}/freezes")
        assert listed == {name: later[name] for name in listed}
        planned = answered(reader.get(f"{path}/undoing/preview"))
        assert [one["last_day_after"] for one in planned["moves"]] == [day(31).isoformat()]
        gone = ann.manager.make(f"{path}/undoing", {"reason": "Wrong member"})
        assert (gone["id"], gone["undone"], ann.last_usable()) == (begun["id"], True, 31)
        assert reader.data(f"{ann.path}/freezes") == []
        assert answered(reader.get(path)) == {name: gone[name] for name in listed}
        for response in (
            ann.manager.patch(path, last_day=day(20).isoformat(), reason="x"),
            ann.manager.post(f"{path}/undoing", {"reason": "x"}, "again"),
        ):
            assert answered(response, 422)["type"] == "/api/v1/problems/wrong-state"

    def test_the_same_key_freezes_once(self, ann: Member) -> None:
        wish = {**on(7, 16), "reason": "Hurt"}
        first, again = (ann.manager.post(f"{ann.path}/freezes", wish, "freeze-1") for _ in range(2))
        made = posted(first)
        assert first.headers["Location"] == f"/api/v1/freezes/{made['id']}"
        assert (posted(again), again.headers["Idempotency-Replayed"]) == (made, "true")
        assert len(ann.manager.data(f"{ann.path}/freezes")) == 1
        undo = [ann.manager.post(f"/freezes/{made['id']}/undoing", {"reason": "x"}, "undo-1") for _ in range(2)]
        assert posted(undo[0]) == posted(undo[1])

    def test_a_preview_says_what_moves_and_changes_nothing(self, ann: Member, reader: Caller) -> None:
        ann.pays(1)
        planned = answered(reader.get(f"{ann.path}/freezes/preview", **on(7, 16)))
        assert (len(planned["moves"]), planned["waiting"]) == (1, 0)
        assert (reader.data(f"{ann.path}/freezes"), ann.last_usable()) == ([], 31)
        assert answered(reader.get(f"{ann.path}/freezes/preview", **on(60, 61))) == {
            "moves": [], "brought_back": 0, "waiting": 0,
        }  # fmt: skip
        done = ann.freeze(7, 16)
        assert [{name: value for name, value in one.items() if name != "grant_id"} for one in done["moved"]] == planned[
            "moves"
        ]

    def test_many_sessions_that_have_expired_come_back_only_if_their_number_is_expected(
        self, ann: Member, reader: Caller, session: Session
    ) -> None:
        for _ in range(2):
            ann.pays(1)
        planned = answered(reader.get(f"{ann.path}/freezes/preview", **on(7, 40)))
        assert planned["brought_back"] == 16
        body = {**on(7, 40), "reason": "Broke her arm"}
        for expected in ({}, {"expected": 8}):
            problem = answered(ann.manager.post(f"{ann.path}/freezes", {**body, **expected}, key=fresh("key")), 422)
            assert problem["detail"].startswith("16 sessions that have expired could be used again, more than the 10")
            assert [one["pointer"] for one in problem["errors"]] == ["#/expected"]
        assert reader.data(f"{ann.path}/freezes") == []
        done = ann.manager.make(f"{ann.path}/freezes", {**body, "expected": 16})
        assert (done["brought_back"], ann.spin_left()) == (16, 16)
        undone = ann.manager.make(f"/freezes/{done['id']}/undoing", {"reason": "A mistake"})
        assert undone["brought_back"] == 0
        ann.freeze(32, 35)
        assert list(audit(session)) == []

    def test_a_preview_says_what_would_be_taken(self, ann: Member, reader: Caller) -> None:
        ann.pays(10, 1500, covers=(10, 41))
        [spin, _] = answered(reader.get(f"{ann.path}/freezes/preview", **on(7, 16)))["moves"]
        assert (spin["remaining_before"], spin["remaining_after"]) == (8, 0)

    @pytest.mark.parametrize(
        ("wrong", "kind", "name"),
        [
            (on(16, 7), "days-backwards", "last_day"),
            ({"first_day": "1999-01-01"}, "year-wrong", "first_day"),
            ({"last_day": "9999-12-31"}, "year-wrong", "last_day"),
            (on(1, 1200), "too-long", "last_day"),
            ({"first_day": "soon"}, "invalid-request", "first_day"),
            ({"last_day": 5}, "invalid-request", "last_day"),
            ({"end": "2026-01-01"}, "invalid-request", "end"),
        ],
    )
    def test_what_is_refused_is_told_by_its_field(
        self, ann: Member, reader: Caller, wrong: Json, kind: str, name: str
    ) -> None:
        wish = {**on(7, 16), **wrong}
        problem = answered(ann.manager.post(f"{ann.path}/freezes", {**wish, "reason": "Hurt"}, "freeze-1"), 422)
        assert problem["type"] == f"/api/v1/problems/{kind}"
        assert [one["pointer"] for one in problem["errors"]] == [f"#/{name}"]
        problem = answered(reader.get(f"{ann.path}/freezes/preview", **wish), 422)
        assert [one["parameter"] for one in problem["errors"]] == [name]
        assert reader.data(f"{ann.path}/freezes") == []

    def test_it_needs_a_reason_and_a_change_its_days(self, ann: Member) -> None:
        for reason in ("", " ", "x" * 1001):
            problem = answered(ann.manager.post(f"{ann.path}/freezes", {**on(7, 16), "reason": reason}, "f"), 422)
            assert [one["pointer"] for one in problem["errors"]] == ["#/reason"]
        path = f"/freezes/{ann.freeze(7, 16)['id']}"
        for change, pointer in (
            ({"last_day": day(6).isoformat(), "reason": "x"}, "#/last_day"),
            ({"last_day": day(9).isoformat(), "reason": " "}, "#/reason"),
            ({"reason": "x"}, "#/last_day"),
        ):
            problem = answered(ann.manager.patch(path, **change), 422)
            assert [one["pointer"] for one in problem["errors"]] == [pointer]
        problem = answered(ann.manager.post(f"{path}/undoing", {"reason": " "}, "u"), 422)
        assert [one["pointer"] for one in problem["errors"]] == ["#/reason"]

    def test_what_is_not_there_is_404(self, ann: Member) -> None:
        end = ann.end(60)
        assert end["membership_id"] == ann.id
        answered(ann.manager.get(f"/freezes/{end['id']}"), 404)
        answered(ann.manager.post("/memberships/404/freezes", {**on(7), "reason": "x"}, "f"), 404)
        answered(ann.manager.patch("/freezes/404", last_day=None, reason="x"), 404)


def test_use_while_frozen_is_refused_unless_the_club_allows_it(
    manager: Caller, api: Caller, gym: Gym, ann: Member
) -> None:
    ann.pays(35)
    ann.freeze(39, 44)
    check_in = {"member_id": ann.member_id, "item_id": gym.spin.id, "quantity": 1}
    problem = answered(api.post("/redemptions", check_in, "check-in-1"), 409)
    assert problem["type"] == "/api/v1/problems/membership-frozen"
    assert "End the freeze today" in problem["detail"]
    club = answered(manager.patch(f"/clubs/{gym.club.id}", use_while_frozen=True))
    assert club["use_while_frozen"] is True
    posted(api.post("/redemptions", check_in, "check-in-1"))


class TestEnd:
    @pytest.mark.parametrize(
        ("rule", "days", "last"),
        [("keep", None, 45), ("last_day", None, 31), ("days", 7, 38), ("days", 30, 45)],
    )
    def test_unused_sessions_go_by_the_terms(
        self, manager: Caller, reader: Caller, gym: Gym, rule: str, days: int | None, last: int
    ) -> None:
        set_term(manager, gym, on_end=rule, on_end_days=days)
        ann = Member(manager, gym)
        ann.pays(15)
        planned = answered(reader.get(f"{ann.path}/end/preview", **on(None, 31)))
        done = ann.end(31)
        assert ann.last_usable() == last
        assert [one["what"] for one in done["moved"]] == [one["what"] for one in planned["moves"]]
        assert answered(reader.get(f"{ann.path}/end")) == {
            name: value for name, value in done.items() if name not in ("moved", "brought_back", "waiting")
        }
        planned = answered(reader.get(f"{ann.path}/reopening/preview"))
        done = manager.make(f"{ann.path}/reopening", {"reason": "Stays"})
        assert (done["undone"], ann.last_usable()) == (True, 45)
        assert [one["what"] for one in done["moved"]] == [one["what"] for one in planned["moves"]]
        answered(reader.get(f"{ann.path}/end"), 404)
        answered(reader.get(f"{ann.path}/reopening/preview"), 404)
        answered(manager.post(f"{ann.path}/reopening", {"reason": "Stays"}, "again"), 404)

    def test_what_is_paid_after_it_for_a_time_after_it_waits_in_review(self, ann: Member, session: Session) -> None:
        ann.end(31)
        late = ann.pays(34, covers=(1, 31))
        after = ann.pays(34, covers=(32, 60))
        assert [one["quantity"] for one in ann.payment(late)["sessions"]] == [8, 2]
        assert (ann.payment(after)["state"], ann.payment(after)["sessions"]) == ("settled", [])
        [review] = ann.manager.data("/reviews", reason="ended")
        assert (review["payment_id"], review["credited"]) == (after, [])
        ann.manager.make(f"{ann.path}/reopening", {"reason": "She pays on"})
        assert [one["quantity"] for one in ann.payment(after)["sessions"]] == [8, 2]
        assert ann.manager.data("/reviews", reason="ended") == []
        assert list(audit(session)) == []

    def test_its_last_day_changes(self, manager: Caller, gym: Gym, reader: Caller) -> None:
        set_term(manager, gym, on_end="last_day")
        ann = Member(manager, gym)
        ann.pays(15)
        answered(manager.patch(f"{ann.path}/end", **on(None, 31), reason="x"), 404)
        first = ann.end(31)
        problem = answered(manager.post(f"{ann.path}/end", {**on(None, 33), "reason": "x"}, "again"), 409)
        assert problem["type"] == "/api/v1/problems/already-ended"
        assert [one["pointer"] for one in problem["errors"]] == ["#/last_day"]
        [spin] = [
            one
            for one in answered(reader.get(f"{ann.path}/end/preview", **on(None, 35)))["moves"]
            if one["item"] == "Spin"
        ]
        assert (spin["last_day_before"], spin["last_day_after"]) == (day(31).isoformat(), day(35).isoformat())
        change = {**on(None, 35), "reason": "Four days more"}
        done = answered(manager.patch(f"{ann.path}/end", **change))
        assert (done["id"], done["last_day"], ann.last_usable()) == (first["id"], day(35).isoformat(), 35)
        assert answered(manager.patch(f"{ann.path}/end", **change)) == {**done, "moved": []}
        assert answered(reader.get(ann.path))["ended_on"] == day(35).isoformat()

    @pytest.mark.parametrize(
        ("wrong", "kind", "name"),
        [
            ({"last_day": "1999-01-01"}, "year-wrong", "last_day"),
            ({"last_day": None}, "invalid-request", "last_day"),
            ({"first_day": "2026-01-01"}, "invalid-request", "first_day"),
            ({"reason": " "}, "reason-missing", "reason"),
        ],
    )
    def test_what_is_refused_is_told_by_its_field(self, ann: Member, wrong: Json, kind: str, name: str) -> None:
        wish = {**on(None, 31), "reason": "Moves away", **wrong}
        problem = answered(ann.manager.post(f"{ann.path}/end", wish, "end-1"), 422)
        assert problem["type"] == f"/api/v1/problems/{kind}"
        assert [one["pointer"] for one in problem["errors"]] == [f"#/{name}"]
        answered(ann.manager.get(f"{ann.path}/end"), 404)


@pytest.mark.parametrize(
    ("change", "kind", "pointer"),
    [
        ({"on_end": "days"}, "on-end-days-missing", "#/on_end_days"),
        ({"on_end": "days", "on_end_days": 731}, "invalid-request", "#/on_end_days"),
        ({"on_end": "never"}, "invalid-request", "#/on_end"),
        ({"frozen_dues": "half"}, "invalid-request", "#/frozen_dues"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(
    manager: Caller, gym: Gym, change: Json, kind: str, pointer: str
) -> None:
    path = f"/payment-terms/{gym.term.id}"
    before = answered(manager.get(path))
    problem = answered(manager.patch(path, **change), 422)
    assert problem["type"] == f"/api/v1/problems/{kind}"
    assert [one["pointer"] for one in problem["errors"]] == [pointer]
    assert answered(manager.get(path)) == before
    set_term(manager, gym, on_end="days", on_end_days=14, frozen_dues="part")
    shown = answered(manager.get(path))
    assert (shown["on_end"], shown["on_end_days"], shown["frozen_dues"]) == ("days", 14, "part")
    set_term(manager, gym, on_end="keep")
    assert answered(manager.get(path))["on_end_days"] is None
