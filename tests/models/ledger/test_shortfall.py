"""Sessions already used when their payment is reversed: owed, repaid, forgiven, cancelled."""

from datetime import timedelta

from sqlalchemy.orm import Session

from models.audit.checks import audit
from models.ledger.redemptions import Answer, give_back, redeem
from models.ledger.tables import CreditGrant
from models.members.memberships import Membership
from models.payments.facts import Restored, Reversed
from tests.models.gym import (
    BY,
    CLASSES,
    DUES,
    NOW,
    PAID_AT,
    Gym,
    entries,
    expire_all,
    fresh,
    grant_of,
    grants_of,
    paid,
    tell,
)

AFTER_EXPIRING = PAID_AT + timedelta(days=50)


def use(gym: Gym, membership: Membership, quantity: int) -> Answer:
    return redeem(
        gym.session,
        member_id=membership.member_id,
        item_id=gym.spin.id,
        quantity=quantity,
        key=fresh("key"),
        by=BY,
        now=NOW,
    )


def return_all(session: Session, used: Answer) -> Answer:
    return give_back(session, redemption_id=used.redemption_id, key=fresh("key"), by=BY, now=NOW)


def lost(payment: str, amount: int = DUES) -> Reversed:
    return Reversed(payment, PAID_AT, f"dispute:{payment}", amount, "USD")


def won(payment: str, amount: int = DUES) -> Restored:
    return Restored(payment, PAID_AT, f"dispute:{payment}", amount, "USD")


def state(grant: CreditGrant) -> tuple[int, int, int]:
    return grant.remaining, grant.shortfall, grant.reversed


def test_a_clawback_takes_what_remains_and_what_was_used_becomes_shortfall(gym: Gym, session: Session) -> None:
    membership = gym.join("sub")
    tell(session, paid("in", "sub"))
    use(gym, membership, 5)
    tell(session, lost("in"))
    grant = grant_of(session, membership, gym.spin)
    assert state(grant) == (0, 5, CLASSES)
    clawback = entries(session, grant)[-1]
    assert (clawback.kind, clawback.quantity, clawback.shortfall, clawback.reversed) == ("clawback", -3, 5, CLASSES)
    assert "5 already used" in (clawback.note or "")


def test_a_partial_clawback_within_what_remains_leaves_no_shortfall(gym: Gym, session: Session) -> None:
    membership = gym.join("sub")
    tell(session, paid("in", "sub"))
    use(gym, membership, 4)
    tell(session, lost("in", DUES // 2))
    assert state(grant_of(session, membership, gym.spin)) == (0, 0, 4)


def test_the_next_grant_of_the_item_repays_first(gym: Gym, session: Session) -> None:
    membership = gym.join("sub")
    tell(session, paid("one", "sub"))
    use(gym, membership, 5)
    tell(session, lost("one"))
    tell(session, paid("two", "sub"))
    debt, repaying = grants_of(session, membership, gym.spin)
    assert (debt.shortfall, repaying.remaining) == (0, CLASSES - 5)
    assert grants_of(session, membership, gym.training)[1].remaining == 2, "another item's grant repays nothing"
    assert [(entry.kind, entry.quantity) for entry in entries(session, repaying)] == [
        ("grant", CLASSES),
        ("debt_repayment", -5),
    ]
    assert [entry.shortfall for entry in entries(session, debt)] == [0, 0, 5, -5]


def test_a_shortfall_larger_than_the_next_grant_is_repaid_by_several_oldest_first(gym: Gym, session: Session) -> None:
    membership = gym.join("sub")
    for payment in ("one", "two"):
        tell(session, paid(payment, "sub"))
        use(gym, membership, CLASSES)
    tell(session, lost("one"), lost("two"))
    tell(session, paid("three", "sub"))
    assert [grant.shortfall for grant in grants_of(session, membership, gym.spin)] == [0, CLASSES, 0]
    tell(session, paid("four", "sub"), paid("five", "sub"))
    assert [grant.shortfall for grant in grants_of(session, membership, gym.spin)] == [0] * 5
    assert [grant.remaining for grant in grants_of(session, membership, gym.spin)] == [0, 0, 0, 0, CLASSES]


def test_another_members_grant_repays_nothing(gym: Gym, session: Session) -> None:
    owing, other = gym.join("sub"), gym.join("other")
    tell(session, paid("one", "sub"))
    use(gym, owing, 5)
    tell(session, lost("one"))
    tell(session, paid("two", "other"))
    assert grant_of(session, owing, gym.spin).shortfall == 5
    assert grant_of(session, other, gym.spin).remaining == CLASSES


def test_a_shortfall_made_in_a_group_is_repaid_by_a_grant_of_the_same_group(gym: Gym, session: Session) -> None:
    membership = gym.join("sub")
    tell(session, paid("one", "sub"))
    use(gym, membership, 5)
    tell(session, lost("one"), paid("two", "sub"))
    assert [state(grant)[:2] for grant in grants_of(session, membership, gym.spin)] == [(0, 0), (CLASSES - 5, 0)]


def test_a_forgiving_club_bears_it(gym: Gym, session: Session) -> None:
    membership = gym.join("sub", club=gym.forgiving_club())
    tell(session, paid("one", "sub"))
    use(gym, membership, 5)
    tell(session, lost("one"))
    assert state(grant_of(session, membership, gym.spin)) == (0, 0, CLASSES)
    tell(session, paid("two", "sub"))
    assert grants_of(session, membership, gym.spin)[1].remaining == CLASSES


def test_a_reinstatement_cancels_shortfall_first(gym: Gym, session: Session) -> None:
    membership = gym.join("sub")
    tell(session, paid("in", "sub"))
    use(gym, membership, 5)
    tell(session, lost("in"))
    tell(session, Restored("in", PAID_AT + timedelta(days=1), "dispute:in"))
    grant = grant_of(session, membership, gym.spin)
    assert state(grant) == (CLASSES - 5, 0, 0)
    reinstatement = entries(session, grant)[-1]
    assert (reinstatement.kind, reinstatement.quantity, reinstatement.shortfall) == ("reinstatement", 3, -5)


def test_a_forgiven_session_is_not_given_again_by_a_reinstatement(gym: Gym, session: Session) -> None:
    membership = gym.join("sub", club=gym.forgiving_club())
    tell(session, paid("in", "sub"))
    use(gym, membership, 5)
    tell(session, lost("in"))
    tell(session, won("in"))
    assert state(grant_of(session, membership, gym.spin)) == (CLASSES - 5, 0, 0)


def test_a_clawback_of_expired_sessions_leaves_no_shortfall(gym: Gym, session: Session) -> None:
    membership = gym.join("sub")
    tell(session, paid("in", "sub"))
    use(gym, membership, 5)
    expire_all(session, AFTER_EXPIRING)
    tell(session, lost("in"), now=AFTER_EXPIRING)
    assert state(grant_of(session, membership, gym.spin)) == (0, 5, CLASSES)


def test_a_late_expiry_job_does_not_matter_to_a_clawback(gym: Gym, session: Session) -> None:
    membership = gym.join("sub")
    tell(session, paid("in", "sub"))
    use(gym, membership, 5)
    tell(session, lost("in"), now=AFTER_EXPIRING)
    grant = grant_of(session, membership, gym.spin)
    assert state(grant) == (0, 5, CLASSES)
    expiry = entries(session, grant)[2]
    assert (expiry.kind, expiry.quantity, expiry.occurred_at) == ("expiry", -3, grant.expires_at)


def test_expired_sessions_do_not_come_back_with_the_money(gym: Gym, session: Session) -> None:
    membership = gym.join("sub")
    tell(session, paid("in", "sub"))
    tell(session, lost("in"), now=AFTER_EXPIRING)
    tell(session, won("in"), now=AFTER_EXPIRING)
    assert state(grant_of(session, membership, gym.spin)) == (0, 0, 0)


def test_a_return_to_a_lot_whose_payment_was_reversed_goes_to_its_shortfall(gym: Gym, session: Session) -> None:
    membership = gym.join("sub")
    tell(session, paid("in", "sub"))
    used = use(gym, membership, 5)
    tell(session, lost("in"))
    give_back(session, redemption_id=used.redemption_id, key=fresh("key"), by=BY, now=NOW, quantity=2)
    assert state(grant_of(session, membership, gym.spin)) == (0, 3, CLASSES)
    tell(session, won("in"))
    assert state(grant_of(session, membership, gym.spin)) == (CLASSES - 3, 0, 0)


def test_money_that_returns_after_its_shortfall_was_repaid_gives_the_repayment_back(gym: Gym, session: Session) -> None:
    membership = gym.join("sub")
    tell(session, paid("one", "sub"))
    use(gym, membership, CLASSES)
    tell(session, lost("one"))
    tell(session, paid("two", "sub"))
    tell(session, won("one"))
    assert sum(grant.remaining for grant in grants_of(session, membership, gym.spin)) == CLASSES
    assert list(audit(session)) == []


def test_money_and_sessions_that_both_return_after_a_repayment_are_all_there(gym: Gym, session: Session) -> None:
    membership = gym.join("sub")
    tell(session, paid("one", "sub"))
    used = use(gym, membership, CLASSES)
    tell(session, lost("one"))
    tell(session, paid("two", "sub"))
    return_all(session, used)
    tell(session, won("one"))
    assert sum(grant.remaining for grant in grants_of(session, membership, gym.spin)) == 2 * CLASSES
    assert list(audit(session)) == []


def test_sessions_can_be_returned_after_a_repayment_was_given_back(gym: Gym, session: Session) -> None:
    membership = gym.join("sub")
    tell(session, paid("one", "sub"))
    used = use(gym, membership, CLASSES)
    tell(session, lost("one"))
    tell(session, paid("two", "sub"))
    tell(session, won("one"))
    return_all(session, used)
    assert sum(grant.remaining for grant in grants_of(session, membership, gym.spin)) == 2 * CLASSES
    assert list(audit(session)) == []
