"""Events in the console: found, looked into, replayed, let through, discarded, and all at once."""

import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from local import stripe_bodies
from models.inbox import bulk, storing
from models.inbox.bulk import BulkAction
from models.inbox.events import EventError, WebhookEvent
from models.inbox.storing import NewEvent
from models.staff.accounts import Role
from models.staff.actions import Action
from tests.console.web.at_the_desk import paying_member
from tests.console.web.conftest import Browser
from tests.models.gym import Gym

LogIn = Callable[[Role], Browser]


@pytest.fixture
def operator(log_in: LogIn) -> Browser:
    return log_in(Role.OPERATOR)


@pytest.fixture
def viewer(log_in: LogIn) -> Browser:
    return log_in(Role.VIEWER)


def arrived(session: Session, *names: str, state: str = "pending", body: bytes = b"{}", **columns: object) -> list[int]:
    """Events of these ids in that state; their numbers."""
    storing.store(session, [NewEvent("stripe", name, "invoice.paid", body) for name in names], lambda *_: True)
    events = session.scalars(select(WebhookEvent).where(WebhookEvent.event_id.in_(names)).order_by(WebhookEvent.id))
    numbers = []
    for event in events:
        event.state = state
        for column, value in columns.items():
            setattr(event, column, value)
        numbers.append(event.id)
    session.commit()
    return numbers


def state_of(session: Session, number: int) -> str:
    session.rollback()
    return session.get_one(WebhookEvent, number).state


def acts(session: Session) -> Sequence[tuple[str, str, str | None]]:
    rows = session.scalars(select(Action).where(Action.verb != "log in").order_by(Action.id))
    return [(row.actor, row.verb, row.reason) for row in rows if row.verb != "add account"]


class TestFinding:
    def test_the_newest_first_page_by_page_with_the_filter_kept(self, viewer: Browser, session: Session) -> None:
        arrived(session, *(f"evt_{number}." for number in range(60)))
        arrived(session, "evt_dead.", state="dead")
        viewer.get("/operations/events/?state=pending&endpoint=stripe")
        assert "evt_59." in viewer.text
        assert "evt_10." in viewer.text
        assert "evt_9." not in viewer.text
        [older] = re.findall(r'href="([^"]*before=[^"]*)"', viewer.page)
        viewer.get(older.replace("&amp;", "&"))
        assert "evt_9." in viewer.text
        assert "evt_10." not in viewer.text
        assert "evt_dead." not in viewer.text
        assert "Older" not in viewer.text

    @pytest.mark.parametrize(
        ("asked", "found"),
        [
            ("find=evt_two&by=event_id", "evt_two"),
            ("find=needle&by=body", "evt_two"),
            ("state=dead", "evt_one"),
            ("type=invoice.paid&state=dead", "evt_one"),
            ("error=NO%20SUCH", "evt_one"),
            ("attempts=3", "evt_one"),
            ("endpoint=stripe&until=2020-01-01T00:00", ""),
            ("since=2020-01-01T00:00&state=ignored", "evt_two"),
            ("find=nothing&by=payment", ""),
        ],
    )
    def test_by_each_filter(self, viewer: Browser, session: Session, asked: str, found: str) -> None:
        arrived(session, "evt_one", state="dead", attempts=3, error="LookupError: no such thing")
        arrived(session, "evt_two", state="ignored", body=b'{"has": "a needle"}')
        viewer.get(f"/operations/events/?{asked}")
        assert re.findall(r'/operations/events/\d+">(evt_\w+)<', viewer.page) == [found] * bool(found)
        assert found or "No event fits this." in viewer.text

    def test_by_payment_and_by_member(self, viewer: Browser, gym: Gym, session: Session) -> None:
        member = paying_member(gym).member
        arrived(session, "evt_other")
        for asked in ("find=in_1&by=payment", f"find={quote(member.email.upper())}&by=member"):
            viewer.get(f"/operations/events/?{asked}")
            assert len(re.findall(r'<a class="reference" href="/operations/events/\d+"', viewer.page)) == 1
            assert "evt_other" not in viewer.text

    @pytest.mark.parametrize(
        ("asked", "said"),
        [
            ("since=yesterday", "Write a date and a time"),
            ("since=1900-01-01T00:00", "Write a date and a time"),
            ("attempts=x", "Not a valid integer value"),
            ("state=gone", "Not a valid choice"),
            ("find=nobody%40example.com&by=member", "There is no member 'nobody@example.com'"),
        ],
    )
    def test_what_cannot_be_read_is_said_beside_its_field(self, viewer: Browser, asked: str, said: str) -> None:
        assert viewer.get(f"/operations/events/?{asked}").status_code == 422
        assert said in viewer.text

    @pytest.mark.parametrize("asked", ["before=x", "before=-1", "before=99999999999999999999"])
    def test_a_cursor_that_is_none_is_not_found(self, viewer: Browser, asked: str) -> None:
        assert viewer.get(f"/operations/events/?{asked}").status_code == 404

    @pytest.mark.parametrize("asked", ["find=%00&by=body", "find=%27%25&by=payment", "error=%25_%5C", "endpoint=%00"])
    def test_odd_texts_find_nothing_and_break_nothing(self, viewer: Browser, session: Session, asked: str) -> None:
        arrived(session, "evt_1")
        assert viewer.get(f"/operations/events/?{asked}").status_code == 200


class TestOneEvent:
    def test_its_body_is_pretty_and_masked(self, viewer: Browser, session: Session) -> None:
        body = json.dumps({"id": "evt_1", "card": "4242424242424242", "client_secret": "pi_1_secret_x"}).encode()
        [number] = arrived(session, "evt_1", body=body, delivery="a" * 32, headers='{"User-Agent": "Stripe/1.0"}')
        viewer.get(f"/operations/events/{number}")
        assert '"id": "evt_1"' in viewer.text
        assert "4242424242424242" not in viewer.page
        assert "pi_1_secret_x" not in viewer.page
        assert "User-Agent Stripe/1.0" in viewer.text
        assert "a" * 32 in viewer.text

    def test_from_the_event_to_the_entry_and_back(self, viewer: Browser, gym: Gym, session: Session) -> None:
        member = paying_member(gym)
        number = session.scalars(select(WebhookEvent.id)).one()
        viewer.get(f"/operations/events/{number}")
        assert "Paid: $90.00" in viewer.text
        [entry] = re.findall(
            rf'href="(/members/{member.member_id}/entries/\d+)">Grant</a></td><td[^>]*>\+8<', viewer.page
        )
        viewer.get(entry)
        assert f'href="/operations/events/{number}"' in viewer.page

    def test_failed_tries_are_listed(self, viewer: Browser, session: Session) -> None:
        [number] = arrived(session, "evt_1", state="dead", attempts=2, error="second")
        session.add_all(
            [
                EventError(event_id=number, attempt=1, error="<first>"),
                EventError(event_id=number, attempt=2, error="second"),
            ]
        )
        session.commit()
        viewer.get(f"/operations/events/{number}")
        assert "Failed tries Try When Error 1" in viewer.text
        assert "<first>" in viewer.text
        assert "<first>" not in viewer.page

    def test_one_that_waits_for_its_processor_says_why_since_when_and_until_when(
        self, viewer: Browser, session: Session
    ) -> None:
        since, again = datetime(2026, 3, 1, 12, tzinfo=UTC), datetime(2999, 3, 2, 15, tzinfo=UTC)
        why = "waits for paypal: PayPal says that the refund is pending"
        [number] = arrived(session, "evt", thin=True, waits_since=since, next_attempt_at=again, error=why)
        viewer.get(f"/operations/events/{number}")
        assert re.search(r"Waits since Mar 1, 2026.* Asked again Mar 2, 2999.* Why waits for paypal", viewer.text)
        viewer.get("/operations/events/?state=pending")
        assert f"{why}. Asked again Mar 2, 2999" in viewer.text

    def test_a_contradiction_stands_beside_the_first(self, viewer: Browser, session: Session) -> None:
        for body in (b'{"amount": 1}', b'{"amount": 2}'):
            storing.store(session, [NewEvent("stripe", "evt_1", "invoice.paid", body)], lambda *_: False)
        session.commit()
        first, second = session.scalars(select(WebhookEvent.id).order_by(WebhookEvent.id))
        viewer.get(f"/operations/events/{second}")
        assert viewer.text.index('"amount": 1') < viewer.text.index('"amount": 2')
        viewer.get(f"/operations/events/{first}")
        assert f'href="/operations/events/{second}"' in viewer.page

    def test_a_pruned_body_is_said_to_be_gone(self, viewer: Browser, session: Session) -> None:
        [number] = arrived(session, "evt_1", state="processed")
        session.execute(text("UPDATE webhook_events SET body = '', pruned_at = now()"))
        session.commit()
        viewer.get(f"/operations/events/{number}")
        assert "Its body was pruned" in viewer.text


class TestActing:
    def test_a_dead_letter_is_replayed_by_one_click_in_its_list(self, operator: Browser, session: Session) -> None:
        [number] = arrived(session, "evt_1", state="dead", attempts=15, error="boom")
        operator.get("/operations/events/?state=dead")
        assert "boom" in operator.text
        operator.post(f"/operations/events/{number}/replay?state=dead")
        assert f"Event {number} is due again." in operator.text
        assert "Nothing here." in operator.text
        assert state_of(session, number) == "pending"
        assert acts(session) == [("operator@example.com", "replay", "Tried again from the console.")]

    def test_discarding_asks_why(self, operator: Browser, session: Session) -> None:
        [number] = arrived(session, "evt_1", state="dead")
        operator.get(f"/operations/events/{number}/discard")
        assert operator.post(f"/operations/events/{number}/discard", reason=" ").status_code == 422
        assert "Say wh" in operator.text
        operator.post(f"/operations/events/{number}/discard?state=dead", reason="A test of theirs")
        assert f"Event {number} has no effect." in operator.text
        assert state_of(session, number) == "ignored"
        assert acts(session) == [("operator@example.com", "discard", "A test of theirs")]

    def test_one_that_waits_for_its_processor_can_be_discarded(self, operator: Browser, session: Session) -> None:
        [number] = arrived(session, "evt", thin=True, waits_since=datetime(2026, 3, 1, tzinfo=UTC))
        operator.get(f"/operations/events/{number}")
        assert f'aria-label="Discard event {number}"' in operator.page
        operator.post(f"/operations/events/{number}/discard", reason="PayPal says that it never will be")
        assert state_of(session, number) == "ignored"

    def test_a_quarantined_event_is_let_through(self, operator: Browser, session: Session) -> None:
        [number] = arrived(session, "evt_1", state="quarantined", reason="from the future")
        operator.get("/operations/events/?state=quarantined")
        assert "from the future" in operator.text
        operator.post(f"/operations/events/{number}/release", reason="Their clock was wrong")
        assert state_of(session, number) == "pending"
        assert acts(session) == [("operator@example.com", "release", "Their clock was wrong")]

    def test_a_contradiction_that_was_discarded_can_be_let_through(self, operator: Browser, session: Session) -> None:
        (first,) = arrived(session, "evt_1", state="processed")
        (second,) = arrived(session, "evt_2", state="ignored", conflicts_with=first)
        operator.get(f"/operations/events/{second}")
        assert "Let through" in operator.text
        operator.post(f"/operations/events/{second}/release", reason="Both are right")
        assert state_of(session, second) == "pending"

    @pytest.mark.parametrize("verb", ["discard", "release"])
    def test_what_was_processed_is_not_decided_on(self, operator: Browser, session: Session, verb: str) -> None:
        [number] = arrived(session, "evt_1", state="processed")
        operator.get(f"/operations/events/{number}/{verb}")
        assert "there is nothing to decide" in operator.text
        operator.post(f"/operations/events/{number}/{verb}", reason="All the same")
        assert state_of(session, number) == "processed"
        assert acts(session) == []

    def test_a_viewer_sees_no_acts(self, viewer: Browser, session: Session) -> None:
        [number] = arrived(session, "evt_1", state="dead")
        for path in ("/operations/events/?state=dead", f"/operations/events/{number}"):
            viewer.get(path)
            assert "Replay" not in viewer.text
            assert "Discard" not in viewer.text


class TestAllThatMatch:
    def test_the_exact_number_is_confirmed_and_the_act_followed(self, operator: Browser, session: Session) -> None:
        arrived(session, *(f"evt_{number}" for number in range(3)), state="dead")
        arrived(session, "evt_fine", state="processed")
        operator.get("/operations/acts/replay-all?state=dead&endpoint=stripe")
        assert "3 events in state “failed”, at endpoint stripe." in operator.text
        operator.post("/operations/acts/replay-all?state=dead&endpoint=stripe", reason="The plan is back", count="3")
        assert "0 of 3" in operator.text
        assert "The plan is back" in operator.text
        session.rollback()
        while bulk.work(session):
            session.commit()
        session.commit()
        act = session.scalars(select(BulkAction)).one()
        operator.get(f"/operations/acts/{act.id}")
        assert "3 of 3, finished" in operator.text
        operator.get("/operations/acts/")
        assert "Replay 3 events" in operator.text
        states = session.execute(text("SELECT state, count(*) FROM webhook_events GROUP BY state")).all()
        assert dict(tuple(row) for row in states) == {"pending": 3, "processed": 1}

    def test_another_number_than_the_one_shown_is_asked_again(self, operator: Browser, session: Session) -> None:
        arrived(session, "evt_1", state="dead")
        operator.get("/operations/acts/discard-all?state=dead")
        arrived(session, "evt_2", state="dead")
        assert operator.post("/operations/acts/discard-all?state=dead", reason="Why", count="1").status_code == 422
        assert "You were asked about 1, and now it is 2 events." in operator.text
        assert session.scalars(select(BulkAction)).all() == []

    def test_it_asks_why_and_refuses_nothing_at_all(self, operator: Browser, session: Session) -> None:
        arrived(session, "evt_1", state="dead")
        operator.get("/operations/acts/replay-all?state=dead")
        assert operator.post("/operations/acts/replay-all?state=dead", reason="", count="1").status_code == 422
        operator.get("/operations/acts/replay-all?state=quarantined")
        assert "No event matches any more." in operator.text
        assert operator.get("/operations/acts/replay-all?since=nonsense").status_code == 302

    def test_it_can_be_stopped(self, operator: Browser, session: Session) -> None:
        arrived(session, "evt_1", state="dead")
        operator.get("/operations/acts/replay-all?state=dead")
        operator.post("/operations/acts/replay-all?state=dead", reason="Why", count="1")
        act = session.scalars(select(BulkAction)).one()
        operator.post(f"/operations/acts/{act.id}/cancel")
        assert "It is stopped." in operator.text
        assert "0 of 1, stopped" in operator.text
        session.rollback()
        assert not bulk.work(session)


class TestGroups:
    def test_failed_events_are_grouped_by_error_replayed_and_their_outcome_followed(
        self, operator: Browser, session: Session
    ) -> None:
        numbers = arrived(session, "evt_1", "evt_2", state="dead", error="LookupError: no price for sub_1 <b>")
        arrived(session, "evt_3", state="dead", error="KeyError: 'amount'")
        operator.get("/operations/events/?state=dead")
        [path] = re.findall(r'href="(/operations/acts/replay-all[^"]*)" aria-label="Replay the 2 events', operator.page)
        operator.get(path.replace("&amp;", "&"))
        assert "2 events in state “failed”, with one kind of error." in operator.text
        assert f"For example event {numbers[1]} : LookupError: no price for sub_1 <b>" in operator.text
        operator.post(path.replace("&amp;", "&"), reason="The price is back", count="2")
        session.rollback()
        bulk.work(session)
        session.execute(text("UPDATE webhook_events SET state = 'processed' WHERE id = :id"), {"id": numbers[0]})
        session.execute(text("UPDATE webhook_events SET state = 'dead' WHERE id = :id"), {"id": numbers[1]})
        session.commit()
        act = session.scalars(select(BulkAction)).one()
        operator.get(f"/operations/acts/{act.id}")
        assert "1 credited , 1 failed again" in operator.text
        assert "data-refresh" not in operator.page
        operator.get(f"/operations/events/?act={act.id}&state=dead")
        assert re.findall(r'/operations/events/\d+">(evt_\w+)<', operator.page) == ["evt_2"]
        operator.get(f"/operations/events/{numbers[1]}")
        assert re.search(r"What people decided .* Replay, with others The price is back", operator.text)

    def test_chosen_ones_alone_are_acted_on(self, operator: Browser, session: Session) -> None:
        one, _, three = arrived(session, "evt_1", "evt_2", "evt_3", state="quarantined", reason="from the future")
        operator.get("/operations/acts/discard-all?state=quarantined&chosen=1")
        assert "Choose some events first" in operator.get("/operations/").text + operator.text
        path = f"/operations/acts/discard-all?state=quarantined&chosen=1&id={one}&id={three}"
        operator.get(path)
        assert "2 events in state “quarantined”, chosen one by one." in operator.text
        operator.post(path, reason="Tests of theirs", count="2")
        session.rollback()
        bulk.work(session)
        session.commit()
        states = session.scalars(text("SELECT state FROM webhook_events ORDER BY id")).all()
        assert states == ["ignored", "quarantined", "ignored"]

    @pytest.mark.parametrize("asked", ["group=nonsense", "group=stripe.nonsense123", "act=x", "id=x"])
    def test_what_is_no_group_is_refused(self, viewer: Browser, session: Session, asked: str) -> None:
        arrived(session, "evt_1", state="dead")
        assert viewer.get(f"/operations/events/?state=dead&{asked}").status_code in (200, 422)
        assert "evt_1" not in viewer.text

    def test_each_part_of_the_filter_is_taken_away_by_its_own_link(self, viewer: Browser, session: Session) -> None:
        viewer.get("/operations/events/?state=dead&endpoint=stripe&error=boom")
        [without] = re.findall(r'href="([^"]*)" aria-label="Remove: at endpoint stripe"', viewer.page)
        assert without.replace("&amp;", "&") == "/operations/events/?state=dead&error=boom"


class TestForeseen:
    def test_what_letting_through_comes_to_is_said_before_it_is_done(
        self, operator: Browser, gym: Gym, session: Session
    ) -> None:
        member_id = gym.join("sub_ada").member_id
        now = int(datetime.now(UTC).timestamp()) - 60
        for event_id, subscription, also in (
            ("evt_good", "sub_ada", {}), ("evt_euro", "sub_ada", {"currency": "eur"}), ("evt_lost", "sub_lost", {}),
        ):  # fmt: skip
            invoice = stripe_bodies.invoice(f"in_{event_id}", subscription, now) | also
            body = stripe_bodies.event(event_id, "invoice.paid", now, invoice)
            arrived(session, event_id, state="quarantined", reason="looked odd", body=body)
        arrived(session, "evt_broken", state="quarantined", reason="not JSON", body=b"{}")
        good, euro, *_ = session.scalars(select(WebhookEvent.id).order_by(WebhookEvent.id))
        operator.get(f"/operations/events/{good}/release")
        assert "What will happen It gives 8 Spin sessions and 2 Training sessions to Ada." in operator.text
        operator.get(f"/operations/events/{euro}/release")
        assert "cannot settle: paid in EUR, but the membership is in USD." in operator.text
        assert f'href="/members/{member_id}/adjust"' in operator.page
        operator.get("/operations/acts/release-all?state=quarantined")
        for said in ("1 event gives sessions", "1 event cannot settle", "1 event is nobody's yet", "1 event goes back"):
            assert said in operator.text, said
        assert session.scalars(text("SELECT count(*) FROM payment_facts")).one() == 0
        operator.post(f"/operations/events/{good}/release", reason="Their clock was wrong")
        operator.get(f"/operations/events/{good}")
        assert "Let through Their clock was wrong" in operator.text
