"""The audit finds one wrong unit, and names the row that has it."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.audit.checks import audit, payments
from models.ledger.redemptions import give_back, redeem
from models.members import life
from models.members.memberships import add_billing_reference
from models.payments import settlement
from models.payments.facts import DuesFailed, Linked, Reversed
from models.statements import statement
from tests.models.gym import BY, DUES, NOW, PAID_AT, Gym, expire_all, fresh, grant_of, paid, tell


@pytest.fixture
def busy_gym(gym: Gym, session: Session) -> Gym:
    """Two members, with a bit of everything on their accounts."""
    one = gym.join("one")
    gym.join("two")
    tell(session, *(paid(f"in_{reference}_{number}", reference) for number in range(3) for reference in ("one", "two")))
    tell(session, paid("lonely", "unknown"), paid("foreign", "two", currency="EUR"), Linked("in_one_1", PAID_AT, "pi"))
    used = redeem(session, member_id=one.member_id, item_id=gym.spin.id, quantity=5, key=fresh("key"), by=BY, now=NOW)
    give_back(session, redemption_id=used.redemption_id, key=fresh("key"), by=BY, now=NOW, quantity=1)
    tell(session, Reversed("pi", PAID_AT, "refund of pi:re", DUES // 2, "USD"))
    expire_all(session, PAID_AT)
    return gym


def test_a_clean_ledger_has_no_findings(busy_gym: Gym, session: Session) -> None:
    assert list(audit(session)) == []
    assert list(audit(session, batch=1)) == []


@pytest.mark.parametrize("batch", [1, 1000])
@pytest.mark.parametrize("column", ["remaining", "shortfall", "reversed"])
def test_one_wrong_unit_is_found(busy_gym: Gym, session: Session, column: str, batch: int) -> None:
    grant, value = session.execute(
        text(f"SELECT id, {column} FROM credit_grants WHERE 0 < remaining AND remaining < quantity ORDER BY id LIMIT 1")
    ).one()
    session.execute(text(f"UPDATE credit_grants SET {column} = {column} + 1 WHERE id = {grant}"))
    first, *others = audit(session, batch=batch)
    assert first.grant_id == grant
    assert first.what == f"grant {grant}: {column} is {value + 1}, its entries sum to {value}"
    assert all(other.grant_id is None for other in others)


def test_a_wrong_unit_in_an_entry_is_found(busy_gym: Gym, session: Session) -> None:
    grant = session.scalars(text("SELECT max(id) FROM credit_grants")).one()
    session.execute(
        text(
            "INSERT INTO ledger_entries (grant_id, kind, quantity, occurred_at, action_id)"
            " SELECT :grant, 'adjustment', -1, now(), max(id) FROM actions"
        ),
        {"grant": grant},
    )
    finding, shown = audit(session)
    assert (finding.grant_id, "remaining is" in finding.what) == (grant, True)
    member = session.scalars(text("SELECT member_id FROM credit_grants WHERE id = :grant"), {"grant": grant}).one()
    usable = statement.balances(session, member, NOW)[-1].usable
    told = (
        f"member {member} is shown {usable} of item {busy_gym.training.id}, short 0; the entries come to {usable - 1}"
    )
    assert shown.what == f"{told}, short 0"


def test_a_grant_without_its_entry_is_found(busy_gym: Gym, session: Session) -> None:
    grant = session.scalars(
        text(
            "INSERT INTO credit_grants (payment_id, member_id, membership_id, item_id, first_quantity, quantity,"
            " remaining, effective_at, recorded_at)"
            " SELECT payment_id, member_id, membership_id, :item, 1, 1, 0, now(), now() FROM credit_grants LIMIT 1"
            " RETURNING id"
        ),
        {"item": busy_gym.towel.id},
    ).one()
    found = {finding.grant_id: finding.what for finding in audit(session)}
    assert "no entry made it" in found[grant]


def test_a_settled_payment_without_its_grant_is_found(busy_gym: Gym, session: Session) -> None:
    tell(session, paid("seeded", "unknown as well"))
    session.execute(
        text(
            "UPDATE payments SET state = 'settled', membership_id = (SELECT min(id) FROM memberships)"
            " WHERE reference = 'seeded'"
        )
    )
    payment = session.scalars(text("SELECT id FROM payments WHERE reference = 'seeded'")).one()
    (finding,) = audit(session)
    assert (finding.payment_id, finding.grant_id) == (payment, None)
    assert finding.what.startswith(f"payment {payment}: ")


def test_a_reversal_that_the_ledger_does_not_show_is_found(busy_gym: Gym, session: Session) -> None:
    payment = session.scalars(text("SELECT id FROM payments WHERE reference = 'in_two_1'")).one()
    session.execute(
        text(
            "INSERT INTO payment_facts (id, event_id, payment_id, kind, occurred_at, cause, running_total)"
            " SELECT max(id) + 1, max(event_id), :payment, 'reversed', now(), 'dispute:dp_9', false FROM payment_facts"
        ),
        {"payment": payment},
    )
    (finding,) = audit(session)
    assert finding.payment_id == payment


def test_a_payment_that_the_next_sweep_will_match_is_no_finding(busy_gym: Gym, session: Session) -> None:
    add_billing_reference(session, busy_gym.join(), "stripe", "unknown", by=BY)
    assert list(audit(session)) == []
    assert settlement.settle_matched(session, now=NOW, late_credit=timedelta(days=1)) == 1
    assert list(audit(session)) == []


def test_the_audit_changes_nothing(busy_gym: Gym, session: Session) -> None:
    membership = busy_gym.join("late")
    tell(session, paid("in_late", "late"))
    grant = grant_of(session, membership, busy_gym.spin)
    session.execute(text(f"UPDATE credit_grants SET remaining = remaining - 1 WHERE id = {grant.id}"))
    assert len(list(audit(session))) == len(list(audit(session))) == 1


@pytest.mark.parametrize("change", ["expires_at + interval '1 day'", "NULL"])
def test_an_expiry_that_no_entry_set_is_found(busy_gym: Gym, session: Session, change: str) -> None:
    grant = session.scalars(text("SELECT min(id) FROM credit_grants WHERE expires_at IS NOT NULL")).one()
    session.execute(text(f"UPDATE credit_grants SET expires_at = {change} WHERE id = {grant}"))
    finding, *others = audit(session)
    assert finding.grant_id == grant
    assert finding.what.startswith(f"grant {grant}: it expires ")
    # Sessions that ought to have expired are shown, where it never does; and its payment says another day.
    whats = [other.what for other in others]
    assert sum("is shown" in what for what in whats) == (change == "NULL")
    assert sum("its facts and the ledger differ" in what for what in whats) == 1
    assert len(whats) == 1 + (change == "NULL")
    assert "by its entries 2024-" in finding.what


def test_a_last_day_that_entries_agree_on_but_acts_do_not_is_found(busy_gym: Gym, session: Session) -> None:
    membership = busy_gym.join("frozen")
    tell(session, paid("in_frozen", "frozen"))
    first, last = PAID_AT.date() + timedelta(days=4), PAID_AT.date() + timedelta(days=8)
    life.freeze(session, membership, first=first, last=last, reason="hurt", by=BY, now=NOW)
    assert list(audit(session)) == [], "the next sweep settles it"
    assert payments(session, 0, 1000).left_out == 1
    session.execute(text("UPDATE payments SET settle_again = true"))
    assert payments(session, 0, 1000).left_out == 1, "of those that wait, the others were judged: they are right"
    session.execute(text("UPDATE payments SET settle_again = false"))
    payment = session.scalars(text("SELECT id FROM payments WHERE reference = 'in_frozen'")).one()
    (finding,) = audit(session)
    assert (finding.payment_id, "its facts and the ledger differ" in finding.what) == (payment, True)
    settlement.settle(session, [payment], now=NOW, late_credit=timedelta(0))
    assert list(audit(session)) == []


@pytest.mark.parametrize("wrong", ["expires_at + interval '1 day'", "expires_at - interval '1 day'", "NULL"])
def test_a_last_day_that_no_act_explains_is_found(busy_gym: Gym, session: Session, wrong: str) -> None:
    membership = busy_gym.join("late")
    tell(session, paid("in_late", "late"))
    grant = grant_of(session, membership, busy_gym.spin)
    # The entry and the grant agree.
    session.execute(
        text(f"""
            WITH entry AS (
                INSERT INTO ledger_entries (grant_id, kind, quantity, occurred_at, expires_at, fact_id)
                SELECT grant_id, 'extension', 0, occurred_at, {wrong}, fact_id FROM ledger_entries
                WHERE grant_id = {grant.id} RETURNING expires_at
            )
            UPDATE credit_grants SET expires_at = entry.expires_at FROM entry WHERE id = {grant.id}
        """)
    )
    findings = [finding.what for finding in audit(session) if finding.payment_id == grant.payment_id]
    assert findings == [f"payment {grant.payment_id}: its facts and the ledger differ; settling would change it"]


def test_a_payment_credited_twice_is_found(busy_gym: Gym, session: Session) -> None:
    """Two references of one payment, both with grants of the same item that nobody took back."""
    one, other = session.scalars(
        text("SELECT id FROM payments WHERE reference IN ('in_two_0', 'in_two_1') ORDER BY id")
    ).all()
    session.execute(
        text("UPDATE payments SET same_as = :one, state = 'heard_of' WHERE id = :other"), {"one": one, "other": other}
    )
    first, second = session.scalars(
        text("SELECT id FROM credit_grants WHERE payment_id = ANY(:ids) AND item_id = :spin ORDER BY id"),
        {"ids": [one, other], "spin": busy_gym.spin.id},
    ).all()
    told = [finding.what for finding in audit(session) if finding.payment_id == one]
    assert f"payment {one}: credited twice, by grants {first} and {second}" in told


@pytest.mark.parametrize(
    "wrong", ["DELETE FROM failed_dues", "UPDATE failed_dues SET failed_at = failed_at - interval '1 day'"]
)
def test_dues_that_failed_and_are_not_shown_as_their_facts_say_are_found(
    busy_gym: Gym, session: Session, wrong: str
) -> None:
    busy_gym.join("late")
    tell(session, DuesFailed("in_late", PAID_AT, ("late",)))
    assert list(audit(session)) == []
    session.execute(text(wrong))
    (finding,) = audit(session)
    assert finding.what.endswith("its facts and what is owed of its dues differ")
    payment = session.scalars(text("SELECT id FROM payments WHERE reference = 'in_late'")).one()
    settlement.settle(session, [payment], now=NOW, late_credit=timedelta(0))
    assert list(audit(session)) == []


def test_dues_that_are_paid_and_shown_as_owed_are_found(busy_gym: Gym, session: Session) -> None:
    session.execute(
        text(
            "INSERT INTO failed_dues (payment_id, reference, failed_at, endpoint, is_one_try)"
            " SELECT min(id), 'sub', now(), 'stripe', false FROM payments WHERE state = 'settled'"
        )
    )
    (finding,) = audit(session)
    assert finding.what.endswith("its facts and what is owed of its dues differ")
