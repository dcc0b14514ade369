"""What an event would come to if it counted: what settling then does, and nothing is written before."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.payments import foreseen
from models.payments.facts import DuesFailed, Fact, Linked, Reversed
from models.payments.foreseen import Foreseen, ForeseenKind
from models.payments.recorded import EventFacts
from tests.models.gym import ENDPOINT, NOW, PAID_AT, Gym, paid, tell

TABLES = ("payments", "payment_facts", "payment_matches", "payment_reviews", "credit_grants", "ledger_entries")


def rows(session: Session) -> list[object]:
    return [session.execute(text(f"SELECT * FROM {table} ORDER BY 1, 2")).all() for table in TABLES]


def foresee(gym: Gym, *facts: Fact) -> Foreseen:
    before = rows(gym.session)
    found = foreseen.foresee(gym.session, EventFacts(10**9, ENDPOINT, facts), NOW)
    assert rows(gym.session) == before
    return found


def usable(session: Session) -> Sequence[tuple[str, int]]:
    query = (
        "SELECT i.name, sum(g.remaining) FROM credit_grants g JOIN items i ON i.id = g.item_id GROUP BY 1 ORDER BY 1"
    )
    return [(name, int(number)) for name, number in session.execute(text(query))]


def test_what_is_foreseen_is_what_settling_does(gym: Gym) -> None:
    session, dues = gym.session, paid("in_1", "sub_ada")
    gym.join("sub_ada")
    found = foresee(gym, dues)
    assert (found.kind, found.what) == (ForeseenKind.GIVES, "It gives 8 Spin sessions and 2 Training sessions to Ada.")
    tell(session, dues)
    assert usable(session) == [("Spin", 8), ("Training", 2)]
    assert foresee(gym, dues).what == "It changes no sessions."
    back = Reversed("ch_1", PAID_AT + timedelta(hours=1), "refund:re_1", amount_minor=4500, currency="USD")
    link = Linked("ch_1", PAID_AT, "in_1")
    found = foresee(gym, back, link)
    assert (found.kind, found.what) == (
        ForeseenKind.TAKES,
        "It takes back 4 Spin sessions and 1 Training session from Ada.",
    )
    tell(session, back, link)
    assert usable(session) == [("Spin", 4), ("Training", 1)]


def test_what_cannot_settle_or_is_nobodys_says_why(gym: Gym) -> None:
    membership = gym.join("sub_ada")
    found = foresee(gym, paid("in_euro", "sub_ada", currency="EUR"))
    assert (found.kind, found.payment, found.member_id) == (ForeseenKind.HELD, "in_euro", membership.member_id)
    assert found.what.startswith("Its payment cannot settle: paid in EUR, but the membership is in USD. It gives no")
    found = foresee(gym, paid("in_lost", "sub_lost"))
    assert (found.kind, found.payment) == (ForeseenKind.UNMATCHED, "in_lost")
    assert "no membership has sub_lost" in found.what


def test_a_second_amount_is_a_contradiction_that_gives_nothing_more(gym: Gym) -> None:
    gym.join("sub_ada")
    tell(gym.session, paid("in_1", "sub_ada"))
    found = foresee(gym, paid("in_1", "sub_ada", amount=9100))
    assert found.kind == ForeseenKind.SAME
    assert "by one event, but $9" in found.what
    failed = DuesFailed("in_2", PAID_AT, ("sub_ada",))
    assert foresee(gym, failed).kind == ForeseenKind.SAME
