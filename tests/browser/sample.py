"""A gym with a past, for pages that show one: payments over three months, sessions used, a refund, what waits."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import select, text

from local import sample_gym, stripe_bodies
from local.sample_gym import CLASSES, PERSONAL_TRAINING, SPIN, YOGA
from models.inbox import bulk, queue
from models.inbox.bulk import BulkVerb
from models.inbox.events import EventState, WebhookEvent
from models.inbox.search import EventFilter, Scope
from models.ledger import adjustments, expiry, redemptions
from models.ledger.adjustments import AdjustmentReason
from models.ledger.expiry import Breaker
from models.members.lookup import find_member
from models.members.memberships import add_billing_reference
from models.operations import heartbeats
from models.payments import not_dues
from models.staff.actions import Actor
from models.statements import statement
from runtime.settings import Settings
from tests.worker.scene import STRIPE, Make, arrive, event, paid
from worker.auditing import Auditing
from worker.crediting import Crediting

DESK = Actor("desk@example.com", "192.0.2.7")
OPERATOR = Actor("olga@example.com", "192.0.2.8")
MANAGER = Actor("maria@example.com", "192.0.2.9")
ANN, BEN, CEM = "ann@example.com", "ben@example.com", "cem@example.com"


def fill(make: Make, now: datetime) -> None:
    """The sample gym: Ann trains, Ben's first payment was refunded, Cem had used what his refund took back."""
    with make.begin() as session:
        sample_gym.make(session)
        session.execute(text("UPDATE memberships SET recorded_at = :since"), {"since": now - timedelta(days=66)})
    for days, subscription in ((65, "sub_ann"), (40, "sub_ben"), (35, "sub_ann"), (10, "sub_cem"), (4, "sub_ann")):
        pay(make, f"in_{subscription[4:]}{days}", subscription, now - timedelta(days=days))
    use(make, ANN, PERSONAL_TRAINING, 2, now - timedelta(days=2))
    use(make, ANN, CLASSES, 3, now - timedelta(days=1))
    use(make, CEM, PERSONAL_TRAINING, 2, now - timedelta(days=3))
    for payment, days in (("in_ben40", 38), ("in_cem10", 2)):
        refund(make, payment, now - timedelta(days=days))
    pay(make, "in_ben12", "sub_ben", now - timedelta(days=12))
    pay(make, "in_nobody", "sub_nobody", now - timedelta(days=1))
    with make.begin() as session:
        ann = find_member(session, ANN)
        assert ann is not None
        item = next(line for line in statement.balances(session, ann.id, now) if line.item == CLASSES)
        for quantity, why in ((1, "Class cancelled by the instructor"), (30, "Ten weeks at our other club")):
            adjustments.adjust(
                session,
                member_id=ann.id,
                item_id=item.item_id,
                quantity=quantity,
                last_day=None,
                note=why,
                reason=AdjustmentReason.GOODWILL,
                alone_up_to=10,
                key=why,
                by=DESK,
                now=now,
            )
        expiry.step(session, as_of=now, breaker=Breaker(1000, 5))
        expiry.step(session, as_of=now, breaker=Breaker(1000, 5))
    trouble(make, now)


def trouble(make: Make, now: datetime) -> None:
    """What operators see to: dead letters, a contradiction, and an act on many events."""
    first = paid("in_twice", "sub_ann", at=now)
    arrive(make, first, first.replace(b"8900", b"8901"), *(paid(f"in_dead{n}", "sub_ann", at=now) for n in range(3)))
    with make.begin() as session:
        numbers = session.scalars(select(WebhookEvent.id).where(WebhookEvent.event_id.like("evt_in_dead%"))).all()
        for number in numbers:
            queue.fail(session, number, "RuntimeError: the plan is unknown", max_attempts=0, base_s=1, cap_s=1)
        wanted = EventFilter(state=EventState.DEAD, until=now)
        scope = Scope(3, min(numbers), max(numbers))
        bulk.ask(session, BulkVerb.REPLAY, wanted, scope, "The plan is known now", by=OPERATOR)
        heartbeats.beat(session, "gym-1:4711", 12)
        not_dues.mark(session, "stripe", "prod_towels", reason="Towels are rented by the day", by=MANAGER)
    Auditing(make).run()


def traffic(make: Make) -> None:
    """A day of deliveries at two endpoints, with busy and quiet hours, and one of the last dead."""
    with make.begin() as session:
        session.execute(
            text("""
            INSERT INTO webhook_events
                (endpoint, event_id, type, body, state, error, attempts, received_at, finished_at)
            SELECT CASE n % 3 WHEN 0 THEN 'gocardless' ELSE 'stripe' END, 'evt_day_' || n, 'invoice.paid', '{}',
                CASE n WHEN 1 THEN 'dead' ELSE 'processed' END,
                CASE n WHEN 1 THEN 'OperationalError: the disk is full' END, CASE n WHEN 1 THEN 15 ELSE 1 END,
                at, at + make_interval(secs => 0.01 + 0.2 * (n * 37 % 100 / 100.0) ^ 6)
            FROM (
                SELECT n, now() - make_interval(secs => 86400 * x - 5000 * sin(4 * pi() * x) + 90 * random()) AS at
                FROM generate_series(1, 6000) n, LATERAL (SELECT n / 6000.0 AS x)
            )
        """)
        )


def unlike(make: Make, now: datetime) -> None:
    """Payments for the review: of a stranger, for a part of a month, and half the dues for each of two."""
    at = now - timedelta(hours=3)
    stranger = {"customer_name": "Dora Diaz", "customer_email": "dora@example.com", "description": "All In, monthly"}
    with make.begin() as session:
        references = [("stripe", "sub_fisher")]
        sample_gym.join(session, "fay@example.com", "Fay Fisher", [PERSONAL_TRAINING, YOGA], references)
        finn = sample_gym.join(session, "finn@example.com", "Finn Fisher", [PERSONAL_TRAINING, SPIN], [])
        add_billing_reference(session, finn, *references[0], by=sample_gym.BY, shared=True)
    part = dict.fromkeys(("amount_due", "amount_paid", "total"), 2967)
    _tell(make, at, paid("in_fisher1", "sub_fisher", at=at), paid("in_cem0", "sub_cem", at=at, **part))
    _tell(make, at + timedelta(hours=1), paid("in_dora1", "sub_dora", at=at + timedelta(hours=1), **stranger))


def pay(make: Make, payment: str, subscription: str, at: datetime) -> None:
    """Dues, paid by Stripe and credited at that moment."""
    link = stripe_bodies.invoice_payment(payment, f"pi_{payment}")
    _tell(make, at, paid(payment, subscription, at=at), event(f"evt_link_{payment}", "invoice_payment.paid", link, at))


def newcomer(make: Make, name: str) -> int:
    """Somebody new for one test, as `sub_NAME`, with dues of yesterday: 4 Personal Training and 5 Yoga. Their id."""
    with make.begin() as session:
        subscription, picks = f"sub_{name.lower()}", [PERSONAL_TRAINING, YOGA]
        joined = sample_gym.join(session, f"{name.lower()}@example.com", name, picks, [("stripe", subscription)])
        member_id = joined.member_id
    pay(make, f"in_{name.lower()}", subscription, datetime.now(UTC) - timedelta(days=1))
    return member_id


def awaits(make: Make, name: str) -> None:
    """Somebody new for one test, who has not paid yet and has no billing reference."""
    with make.begin() as session:
        sample_gym.join(session, f"{name.lower()}@example.com", name, [PERSONAL_TRAINING, YOGA], [])


def pay_with_code(make: Make, payment: str, subscription: str, code: str, at: datetime) -> None:
    """Dues, paid by Stripe for a subscription that has a membership's code."""
    _tell(make, at, paid(payment, subscription, at=at, object="invoice", metadata={"membership_code": code}))


def refund(make: Make, payment: str, at: datetime) -> None:
    """All of it goes back."""
    body = stripe_bodies.refund(f"re_{payment}", f"pi_{payment}", int(at.timestamp()), 8900)
    _tell(make, at, event(f"evt_re_{payment}", "refund.created", body, at))


def announce_end(make: Make, subscription: str, ends: datetime, at: datetime) -> None:
    """Stripe says that the subscription will end."""
    body = {"id": subscription, "status": "active", "cancel_at": int(ends.timestamp())}
    _tell(make, at, event(f"evt_ends_{subscription}", "customer.subscription.updated", body, at))


def use(make: Make, email: str, item: str, quantity: int, at: datetime) -> None:
    """Sessions redeemed one by one, an hour apart; the last one is given back."""
    with make.begin() as session:
        member = find_member(session, email)
        assert member is not None
        item_id = next(line.item_id for line in statement.balances(session, member.id, at) if line.item == item)
        for number in range(quantity):
            when, key = at + timedelta(hours=number), f"{email} {item} {number}"
            used = redemptions.redeem(
                session, member_id=member.id, item_id=item_id, quantity=1, key=key, by=DESK, now=when
            )
        if quantity > 2:
            redemptions.give_back(session, redemption_id=used.redemption_id, key="back " + key, by=DESK, now=when)


def _tell(make: Make, at: datetime, *bodies: bytes) -> None:
    arrive(make, *bodies)
    settings = Settings(database_url="unused://", broker_url="unused://", endpoints=(STRIPE.endpoint,))
    Crediting(settings, make, lambda: at).drain()
