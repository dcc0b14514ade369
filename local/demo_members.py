"""The members of the demo: what each really paid, got back and used, and the webhooks about it.

`Person.expected` counts their sessions by plain addition. It knows nothing of payment facts, grants or entries, so it
is independent of the code that the demo checks.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from time import time
from typing import Any

from local import sample_gym, stripe_bodies

DUES = 8900
DAY_S = 86_400
LATE_CREDIT_DAYS = 40
PICKS = [sample_gym.PERSONAL_TRAINING, sample_gym.CLASSES]
PER_PAYMENT, DAYS_TO_EXPIRE = zip(*(sample_gym.BUCKETS[item] for item in PICKS), strict=True)
_numbers = count(1)


@dataclass
class Paid:
    """One real payment of dues."""

    days_ago: int
    returned_minor: int = 0
    number: int = field(default_factory=lambda: next(_numbers))

    @property
    def at(self) -> int:
        """When it was paid, in Unix seconds."""
        return int(time()) // 60 * 60 - self.days_ago * DAY_S - 3600

    def event(self, kind: str, body: dict[str, Any]) -> bytes:
        """A webhook event about it. Later events carry later times, as the processor's clock would give them."""
        number = next(_numbers)
        return stripe_bodies.event(f"evt_{number}", kind, self.at + 60 + number, body)


@dataclass
class Person:
    """One member: what really happened, and the deliveries that report it."""

    plot: str
    subscription: str
    payments: list[Paid] = field(default_factory=list)
    deliveries: list[bytes] = field(default_factory=list)
    used: int = 0
    """Personal-training sessions used before any money went back."""
    posted: int = 0
    """Deliveries that were posted already."""

    @property
    def email(self) -> str:
        return f"{self.subscription}@example.com"

    @property
    def signs_up_late(self) -> bool:
        return "unknown" in self.plot

    def expected(self) -> tuple[int, int, int]:
        """Usable personal training, usable classes, and personal training owed, by plain addition."""
        usable = []
        for given, days in zip(PER_PAYMENT, DAYS_TO_EXPIRE, strict=True):
            live = [p for p in self.payments if not days or p.days_ago <= days or p.days_ago > LATE_CREDIT_DAYS]
            usable.append(sum(given - given * p.returned_minor // DUES for p in live))
        return max(0, usable[0] - self.used), usable[1], max(0, self.used - usable[0])

    def unposted(self) -> list[bytes]:
        """The deliveries to post next."""
        new, self.posted = self.deliveries[self.posted :], len(self.deliveries)
        return new

    def pay(self, days_ago: int) -> Paid:
        """Pay the dues."""
        paid = Paid(days_ago)
        self.payments.append(paid)
        invoice, intent = f"in_{paid.number}", f"pi_{paid.number}"
        self.deliveries += [
            paid.event("invoice.paid", self._invoice(paid)),
            paid.event("invoice_payment.paid", stripe_bodies.invoice_payment(invoice, intent)),
        ]
        return paid

    def report_again(self, paid: Paid) -> None:
        """Report the same payment under other event ids."""
        kinds = ("invoice.paid", "invoice.payment_succeeded")
        self.deliveries += [paid.event(kind, self._invoice(paid)) for kind in kinds]

    def pay_nothing(self) -> None:
        """Get an invoice over 0."""
        paid = Paid(2)
        self.deliveries.append(paid.event("invoice.paid", self._invoice(paid, amount_minor=0)))

    def refund(self, paid: Paid, amount_minor: int, *, fails: bool = False) -> None:
        """Get money back; it is reported before everything else. If it fails, that is reported at the end."""
        refund, intent, at = f"re_{paid.number}", f"pi_{paid.number}", paid.at + 60
        body = stripe_bodies.refund(refund, intent, at, amount_minor)
        self.deliveries.insert(self.posted, paid.event("refund.created", body))
        if fails:
            body = stripe_bodies.refund(refund, intent, at, amount_minor, "failed")
            self.deliveries.append(paid.event("refund.failed", body))
        paid.returned_minor = 0 if fails else amount_minor

    def dispute(self, paid: Paid, *, won: bool) -> None:
        """Dispute the payment; `won` by the gym."""
        paid.returned_minor = 0 if won else DUES
        for kind, status in (("funds_withdrawn", "under_review"), ("closed", "won" if won else "lost")):
            body = stripe_bodies.dispute(f"dp_{paid.number}", f"pi_{paid.number}", DUES, status)
            self.deliveries.append(paid.event(f"charge.dispute.{kind}", body))

    def _invoice(self, paid: Paid, amount_minor: int = DUES) -> dict[str, Any]:
        return stripe_bodies.invoice(f"in_{paid.number}", self.subscription, paid.at, amount_minor)


PLOTS: dict[str, tuple[int, Callable[[Person], object]]] = {
    "pays every month": (40, lambda one: [one.pay(35), one.pay(5)]),
    "same payment under other event ids": (8, lambda one: one.report_again(one.pay(3))),
    "refund before its payment": (8, lambda one: one.refund(one.pay(4), DUES)),
    "half refunded": (8, lambda one: one.refund(one.pay(4), DUES // 2)),
    "refund failed": (4, lambda one: one.refund(one.pay(4), DUES, fails=True)),
    "dispute lost": (4, lambda one: one.dispute(one.pay(6), won=False)),
    "dispute won": (4, lambda one: one.dispute(one.pay(6), won=True)),
    "used, then refunded, then pays again": (6, lambda one: one.pay(2)),
    "zero-amount invoice": (4, lambda one: one.pay_nothing()),
    "paid while unknown, signs up later": (4, lambda one: one.pay(1)),
    "webhook came 45 days late: protected": (4, lambda one: one.pay(45)),
}
"""What happens -> to how many members, and how."""


def people() -> list[Person]:
    """All members, with what happened before the demo begins."""
    found = []
    for place, (plot, (size, happens)) in enumerate(PLOTS.items()):
        for number in range(size):
            person = Person(plot, f"sub_{place}x{number}")
            happens(person)
            found.append(person)
    return found
