"""What the worker's tests share: a gym, Stripe's voice, and waiting for what has to come true."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from time import monotonic, sleep, time
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from local import sample_gym, stripe_bodies
from models.audit.checks import audit
from models.inbox import storing
from models.inbox.storing import NewEvent
from models.members.lookup import find_member
from models.statements import statement
from runtime.settings import Endpoint
from webhooks.processors import adapter
from webhooks.signatures import sign_stripe

SECRET = b"whsec_test"
STRIPE = adapter(Endpoint(name="stripe", processor="stripe", mode="test", secrets=(SECRET.decode(),)))
PICKS = [sample_gym.PERSONAL_TRAINING, sample_gym.CLASSES]
PER_DUES = (4, 8)
"""Personal training and classes that each paid dues give."""
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
PAID_AT = NOW - timedelta(hours=2)

Make = sessionmaker[Session]


def join(make: Make, *subscriptions: str) -> None:
    """One member for each subscription."""
    with make.begin() as session:
        for subscription in subscriptions:
            sample_gym.join(session, _email(subscription), "Ada", PICKS, [("stripe", subscription)])


def _email(subscription: str) -> str:
    return f"{subscription}@example.com"


def paid(
    payment: str,
    subscription: str,
    *,
    at: datetime = PAID_AT,
    event_id: str = "",
    kind: str = "invoice.paid",
    **also: Any,
) -> bytes:
    """The signed-for body of an invoice.paid; `also` overrides the invoice's own fields."""
    body = stripe_bodies.invoice(payment, subscription, int(at.timestamp())) | also
    return event(event_id or f"evt_{payment}", kind, body, at)


def paid_now(payment: str, subscription: str) -> bytes:
    """The same, of a minute ago by the real clock: for tests of whole processes."""
    return paid(payment, subscription, at=datetime.now(UTC) - timedelta(minutes=1))


def event(event_id: str, kind: str, body: Mapping[str, Any], at: datetime = PAID_AT) -> bytes:
    return stripe_bodies.event(event_id, kind, int(at.timestamp()), dict(body))


def arrive(make: Make, *bodies: bytes, endpoint: str = "stripe") -> list[storing.Stored]:
    """Signs the deliveries and does with them what the webhook server does: verify, split, store."""
    events = []
    for body in bodies:
        headers = {name.lower(): value for name, value in sign_stripe(body, SECRET, int(time())).items()}
        assert STRIPE.verify(body, headers, time()) is None
        events += [NewEvent(endpoint, *part) for part in STRIPE.parse(body, headers)]
    with make.begin() as session:
        return storing.store(session, events, lambda endpoint, first, second: STRIPE.same_content(first, second))


def post(port: int, body: bytes) -> int:
    """Delivers over HTTP; the status, or 0 where nobody answered."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", "/webhooks/stripe", body, sign_stripe(body, SECRET, int(time())))
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def rows(make: Make, query: str, **values: object) -> list[Any]:
    with make() as session:
        return list(session.execute(text(query), values))


def value(make: Make, query: str, **values: object) -> Any:
    with make() as session:
        return session.scalar(text(query), values)


def run(make: Make, *statements: str, **values: object) -> None:
    with make.begin() as session:
        for statement_ in statements:
            session.execute(text(statement_), values)


def states(make: Make) -> Counter[str]:
    """How many events are in each state."""
    return Counter(state for (state,) in rows(make, "SELECT state FROM webhook_events"))


def attempts(make: Make) -> dict[str, int]:
    """By event id, how often it was tried."""
    return dict(tuple(row) for row in rows(make, "SELECT event_id, attempts FROM webhook_events"))


def due_now(make: Make) -> None:
    """Ends every wait and lease, instead of sleeping through it."""
    run(make, "UPDATE webhook_events SET next_attempt_at = clock_timestamp() WHERE state = 'pending'")


def usable(make: Make, subscription: str, now: datetime = NOW) -> tuple[int, int]:
    """Personal training and classes that the member can use at `now`."""
    with make() as session:
        member = find_member(session, _email(subscription))
        assert member is not None
        held = {balance.item: balance.usable for balance in statement.balances(session, member.id, now)}
    training, classes = (held.get(item, 0) for item in PICKS)
    return training, classes


def usable_now(make: Make, subscription: str) -> tuple[int, int]:
    return usable(make, subscription, datetime.now(UTC))


def credited_once(make: Make, payments: Iterable[str], *, among_others: bool = False) -> bool:
    """Whether these payments, and no others, are credited, each with its two grants and no more, and all adds up."""
    wanted = list(payments)
    found = rows(
        make,
        """
        SELECT p.reference, i.name, g.remaining, g.quantity, count(*)
        FROM credit_grants g JOIN payments p ON p.id = g.payment_id JOIN items i ON i.id = g.item_id
        JOIN ledger_entries e ON e.grant_id = g.id
        WHERE NOT :among_others OR p.reference = ANY(:wanted)
        GROUP BY p.reference, i.name, g.id
        """,
        wanted=wanted,
        among_others=among_others,
    )
    expected = Counter(
        (payment, item, quantity, quantity, 1)
        for payment in wanted
        for item, quantity in zip(PICKS, PER_DUES, strict=True)
    )
    with make() as session:
        findings = list(audit(session))
    return Counter(tuple(row) for row in found) == expected and not findings


def credited(make: Make, payments: Iterable[str]) -> bool:
    """Whether all of these are, quickly asked."""
    wanted = set(payments)
    found = value(
        make,
        "SELECT count(DISTINCT p.reference) FROM payments p JOIN credit_grants g ON g.payment_id = p.id"
        " WHERE p.reference = ANY(:wanted)",
        wanted=list(wanted),
    )
    return bool(found == len(wanted))


def until(true: Callable[[], object], patience_s: float = 60) -> None:
    """Waits for what has to come true; how long it takes is nobody's business here."""
    deadline = monotonic() + patience_s
    while not true():
        assert monotonic() < deadline, "this never came true"
        sleep(0.05)
