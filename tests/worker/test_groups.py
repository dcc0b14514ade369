"""Many at once: the same ledger in whatever order and number, with no more statements than for a few."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy import event as sqlalchemy_event

from local.stripe_bodies import dispute, invoice_payment, refund
from tests.worker.scene import NOW, PAID_AT, Make, arrive, credited_once, event, join, paid, rows, states
from worker.crediting import Crediting


@contextmanager
def statements(engine: Engine) -> Iterator[list[str]]:
    said: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        said.append(statement)

    sqlalchemy_event.listen(engine, "before_cursor_execute", note)
    yield said
    sqlalchemy_event.remove(engine, "before_cursor_execute", note)


def life(number: int | str) -> list[bytes]:
    """A payment's events as they happen: paid, linked, half of it refunded, disputed, and the dispute won."""
    payment, intent = f"in_{number}", f"pi_{number}"
    story: list[tuple[str, dict[str, Any]]] = [
        ("invoice_payment.paid", invoice_payment(payment, intent)),
        ("refund.created", refund(f"re_{number}", intent, int(PAID_AT.timestamp()) + 120, 4450)),
        ("charge.dispute.funds_withdrawn", dispute(f"dp_{number}", intent, 4450, "under_review")),
        ("charge.dispute.closed", dispute(f"dp_{number}", intent, 4450, "won")),
    ]
    return [
        paid(payment, f"sub_{number}"),
        *(
            event(f"evt_{number}_{place}", kind, body, PAID_AT + timedelta(minutes=place))
            for place, (kind, body) in enumerate(story, start=1)
        ),
    ]


GRANTS = """
    SELECT i.name, g.quantity, g.remaining, g.shortfall, g.reversed, g.effective_at, g.expires_at, b.reference
    FROM credit_grants g JOIN items i ON i.id = g.item_id JOIN payments p ON p.id = g.payment_id
    JOIN billing_references b ON b.membership_id = g.membership_id
    ORDER BY b.reference, i.name
"""


def test_no_more_statements_for_200_payments_than_for_2(crediting: Crediting, make: Make, engine: Engine) -> None:
    """Every kind of event that moves sessions is among them, first all new and then all known payments."""
    counts = []
    for start, size in ((0, 2), (10, 12), (1000, 200)):
        numbers = range(start, start + size)
        lives = {number: life(number) for number in numbers}
        join(make, *(f"sub_{number}" for number in numbers))
        counts.append([])
        for part in (slice(0, 2), slice(2, 4)):
            arrive(make, *(body for number in numbers for body in lives[number][part]))
            with statements(engine) as said:
                assert crediting.drain() == size * 2
            counts[-1].append(len(said))
    assert counts[0] == counts[1] == counts[2]
    assert all(remaining == 0 for _, _, remaining, *_ in rows(make, GRANTS)), "half refunded, half disputed"


def test_more_events_than_one_group_holds(crediting: Crediting, make: Make) -> None:
    payments = [f"in_{number}" for number in range(1201)]
    join(make, "sub_1")
    arrive(make, *(paid(payment, "sub_1") for payment in payments))
    assert crediting.drain() == 1201
    assert states(make) == {"processed": 1201}
    assert credited_once(make, payments)


@pytest.mark.parametrize("together", [True, False], ids=["in one group", "one after the other"])
def test_one_hundred_copies_count_once(crediting: Crediting, make: Make, together: bool) -> None:
    """Fifty redeliveries of one event, and the same payment told under fifty event ids."""
    join(make, "sub_1")
    copies = [paid("in_1", "sub_1")] * 50 + [paid("in_1", "sub_1", event_id=f"evt_again{n}") for n in range(50)]
    for group in [copies] if together else [[body] for body in copies]:
        arrive(make, *group)
        if not together:
            crediting.drain()
    crediting.drain()
    assert states(make) == {"processed": 51}
    assert credited_once(make, ["in_1"])


def test_every_order_ends_in_the_same_ledger(crediting: Crediting, make: Make) -> None:
    chance = random.Random(7)
    shuffles = 40
    join(make, *(f"sub_{number}" for number in range(shuffles)))
    arrive(make, *life(0))
    crediting.drain()
    for number in range(1, shuffles):
        bodies = life(number) + chance.choices(life(number), k=3)
        chance.shuffle(bodies)
        while bodies:
            size = chance.randint(1, len(bodies))
            arrive(make, *bodies[:size])
            del bodies[:size]
            crediting.drain()
    found = rows(make, GRANTS)
    assert len(found) == 2 * shuffles
    in_order = [row[:-1] for row in found if row[-1] == "sub_0"]
    # Half of the money went back for good: 8 classes, 4 left; 4 trainings, 2 left.
    assert [(name, quantity, remaining) for name, quantity, remaining, *_ in in_order] == [
        ("Group Class", 8, 4),
        ("Personal Training", 4, 2),
    ]
    assert {row[:-1] for row in found} == set(in_order)
    assert NOW > PAID_AT, "nothing here is late or from the future"
