"""What the database itself refuses, whoever asks."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tests.models.gym import Gym, paid, tell

CHANGES = [
    "UPDATE ledger_entries SET quantity = quantity + 1",
    "UPDATE ledger_entries SET note = 'edited'",
    "DELETE FROM ledger_entries",
    "TRUNCATE ledger_entries",
    "UPDATE payment_facts SET amount_minor = 1",
    "DELETE FROM payment_facts",
    "TRUNCATE payment_facts CASCADE",
    "DELETE FROM credit_grants",
    "TRUNCATE credit_grants CASCADE",
    "UPDATE credit_grants SET quantity = quantity + 1",
    "UPDATE credit_grants SET member_id = member_id",
    "UPDATE credit_grants SET item_id = item_id",
    "UPDATE credit_grants SET payment_id = payment_id",
    "UPDATE credit_grants SET effective_at = now()",
    "UPDATE credit_grants SET recorded_at = now()",
]


@pytest.mark.parametrize("change", CHANGES)
def test_the_record_is_append_only(gym: Gym, session: Session, change: str) -> None:
    gym.join("sub")
    tell(session, paid("in", "sub"))
    with pytest.raises(IntegrityError, match="is append-only"), session.begin_nested():
        session.execute(text(change))


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("remaining = -1", "ck_credit_grants_remaining"),
        ("remaining = quantity + 1", "ck_credit_grants_remaining"),
        ("shortfall = -1", "ck_credit_grants_shortfall"),
        ("shortfall = quantity + 1", "ck_credit_grants_shortfall"),
        ("reversed = -1", "ck_credit_grants_reversed"),
        ("reversed = quantity + 1", "ck_credit_grants_reversed"),
    ],
)
def test_a_grants_projections_stay_within_its_quantity(
    gym: Gym, session: Session, change: str, constraint: str
) -> None:
    gym.join("sub")
    tell(session, paid("in", "sub"))
    with pytest.raises(IntegrityError, match=constraint), session.begin_nested():
        session.execute(text(f"UPDATE credit_grants SET {change}"))


def test_a_payment_cannot_grant_an_item_twice(gym: Gym, session: Session) -> None:
    gym.join("sub")
    tell(session, paid("in", "sub"))
    again = text(
        "INSERT INTO credit_grants (payment_id, member_id, item_id, quantity, remaining, effective_at, recorded_at)"
        " SELECT payment_id, member_id, item_id, quantity, remaining, effective_at, recorded_at FROM credit_grants"
    )
    with pytest.raises(IntegrityError, match="uq_credit_grants_payment_id_item_id"), session.begin_nested():
        session.execute(again)
