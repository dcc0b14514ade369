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
    "UPDATE credit_grants SET first_quantity = first_quantity + 1",
    "UPDATE credit_grants SET membership_id = membership_id",
    "UPDATE credit_grants SET tranche = tranche",
    "UPDATE credit_grants SET member_id = member_id",
    "UPDATE credit_grants SET item_id = item_id",
    "UPDATE credit_grants SET payment_id = payment_id",
    "UPDATE credit_grants SET action_id = action_id",
    "UPDATE credit_grants SET effective_at = now()",
    "UPDATE credit_grants SET recorded_at = now()",
    "UPDATE membership_terms SET since = since",
    "UPDATE earlier_clubs SET until = until",
    "DELETE FROM earlier_clubs",
    "TRUNCATE earlier_clubs",
    "UPDATE former_references SET reference = reference",
    "DELETE FROM former_references",
    "TRUNCATE former_references",
    "DELETE FROM membership_terms",
    "TRUNCATE membership_terms CASCADE",
    "UPDATE pinned_terms SET quantity = quantity",
    "DELETE FROM pinned_terms",
    "TRUNCATE pinned_terms",
    "UPDATE redemptions SET quantity = quantity",
    "DELETE FROM redemptions",
    "TRUNCATE redemptions CASCADE",
    "UPDATE actions SET actor = 'me'",
    "DELETE FROM actions",
    "TRUNCATE actions CASCADE",
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
        "INSERT INTO credit_grants (payment_id, member_id, membership_id, item_id, first_quantity, quantity, remaining,"
        " effective_at)"
        " SELECT payment_id, member_id, membership_id, item_id, quantity, quantity, remaining, effective_at"
        " FROM credit_grants"
    )
    with (
        pytest.raises(IntegrityError, match="uq_credit_grants_payment_id_membership_id_item_id_tranche"),
        session.begin_nested(),
    ):
        session.execute(again)


@pytest.mark.parametrize(
    ("values", "constraint"),
    [
        ("'adjustment', 0, NULL, 1, NULL", "ck_ledger_entries_moves"),
        ("'adjustment', 1, NULL, NULL, NULL", "ck_ledger_entries_cause"),
        ("'redemption', -1, NULL, NULL, 1", "ck_ledger_entries_cause"),
        ("'return', 1, NULL, NULL, 1", "ck_ledger_entries_cause"),
        ("'extension', 0, now(), NULL, NULL", "ck_ledger_entries_cause"),
        ("'extension', 1, NULL, 1, NULL", "ck_ledger_entries_moves"),
        ("'adjustment', 1, NULL, 1, 1", "ck_ledger_entries_redemption"),
        ("'redemption', -1, NULL, 1, NULL", "ck_ledger_entries_redemption"),
        ("'transfer', 1, NULL, 1, NULL", "ck_ledger_entries_kind"),
    ],
)
def test_an_entry_has_its_cause(gym: Gym, session: Session, values: str, constraint: str) -> None:
    gym.join("sub")
    tell(session, paid("in", "sub"))
    entry = text(
        "INSERT INTO ledger_entries (grant_id, occurred_at, kind, quantity, expires_at, action_id, redemption_id)"
        f" SELECT max(id), now(), {values} FROM credit_grants"
    )
    with pytest.raises(IntegrityError, match=constraint), session.begin_nested():
        session.execute(entry)


@pytest.mark.parametrize(
    ("origin", "constraint"),
    [
        ("NULL, NULL, NULL", "one_origin"),
        ("payment_id, membership_id, (SELECT min(id) FROM actions)", "one_origin"),
        ("payment_id, NULL, NULL", "paid_for_a_membership"),
        ("NULL, membership_id, (SELECT min(id) FROM actions)", "paid_for_a_membership"),
    ],
)
def test_a_grant_comes_from_a_payment_for_a_membership_or_from_a_person(
    gym: Gym, session: Session, origin: str, constraint: str
) -> None:
    gym.join("sub")
    tell(session, paid("in", "sub"))
    grant = text(
        "INSERT INTO credit_grants (payment_id, membership_id, action_id, member_id, item_id, first_quantity, quantity,"
        " remaining, effective_at)"
        f" SELECT {origin}, member_id, item_id, 1, 1, 1, now() FROM credit_grants LIMIT 1"
    )
    with pytest.raises(IntegrityError, match=f"ck_credit_grants_{constraint}"), session.begin_nested():
        session.execute(grant)
