"""A member at the desk: what tests of the members' pages begin with."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.catalogue.items import Item
from models.ledger.redemptions import redeem
from models.ledger.tables import CreditGrant, LedgerEntry
from models.members.memberships import Membership
from models.statements.statement import balances
from tests.models.gym import BY, Gym, paid, tell

DAY = timedelta(days=1)


def now() -> datetime:
    return datetime.now(UTC)


def pay(gym: Gym, payment: str, reference: str, days_ago: int) -> datetime:
    """Dues paid that many days ago: 8 Spin sessions for 30 days, and 2 Training sessions for ever."""
    at = now() - days_ago * DAY
    tell(gym.session, paid(payment, reference, at=at), now=now())
    return at


def paying_member(gym: Gym, reference: str = "sub_ada") -> Membership:
    """Ada, who paid yesterday by `in_1`."""
    membership = gym.join(reference)
    gym.session.commit()
    pay(gym, "in_1", reference, 1)
    return membership


def spend(gym: Gym, membership: Membership, item: Item, quantity: int) -> int:
    """Redeems without the console; the redemption's id."""
    answer = redeem(
        gym.session,
        member_id=membership.member_id,
        item_id=item.id,
        quantity=quantity,
        key=str(uuid4()),
        by=BY,
        now=now(),
    )
    gym.session.commit()
    return answer.redemption_id


def held(session: Session, membership: Membership) -> dict[str, int]:
    """What the member can use now, by item."""
    session.rollback()
    return {row.item: row.usable for row in balances(session, membership.member_id, now())}


def entries(session: Session, membership: Membership, kind: str) -> list[LedgerEntry]:
    """The member's entries of that kind, the first first."""
    session.rollback()
    query = select(LedgerEntry).join(CreditGrant, CreditGrant.id == LedgerEntry.grant_id)
    query = query.where(CreditGrant.member_id == membership.member_id, LedgerEntry.kind == kind)
    return list(session.scalars(query.order_by(LedgerEntry.id)))


def key_on(page: str, action: str) -> str:
    """The hidden key of the form that is sent to that path."""
    form = next(form for form in page.split("<form")[1:] if f'action="{action}"' in form)
    found = re.search(r'name="key"[^>]*value="([^"]+)"', form)
    assert found, f"no key in the form to {action}"
    return unescape(found[1])
