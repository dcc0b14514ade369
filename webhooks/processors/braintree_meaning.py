"""What Braintree's notices mean, and what its API lists.

A notice and the API's list say the same of a charge: its subscription, period, add-ons and discounts. Only a notice
also says the subscription's price and balance at that time. They tell what the balance paid, where a charge is less
than the price, and how many periods are paid at once, where it is several times the price.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import ClassVar, NamedTuple

from models.catalogue.days import Period
from models.payments.facts import DuesFailed, Fact, Line, Paid, Restored, Reversed
from webhooks.processors import announcing, claiming, payers, strict
from webhooks.processors.base import Object, Processor
from webhooks.processors.events import Ignored, Payer, Unusable

TAKEN = {"submitted_for_settlement", "settlement_pending", "settling", "settlement_confirmed", "settled"}
"""Statuses of a transaction that moves its money: to us, or for a refund to the member."""
DECLINED = {"settlement_declined", "settlement_failed"}
NEVER = {"failed", "processor_declined", "gateway_rejected", "authorization_expired"}
"""Statuses of a transaction that never moved money."""
LISTED = "transaction_listed"
"""Our own type, for a transaction that the API lists."""
OF_BOTH = ("add_ons", "discounts", "plan_id")
"""What a subscription says of its charges, where a charge does not say it itself."""
MOST_PERIODS = 12
"""That one charge is believed to pay for."""


class Meaning(Processor):
    """The meaning of Braintree's notices, and nothing of how they come."""

    readings: ClassVar = {
        "subscription_charged_successfully": "charged",
        "subscription_billing_skipped": "skipped",
        "subscription_charged_unsuccessfully subscription_went_past_due": "unpaid",
        "transaction_settled transaction_disbursed": "settled",
        "transaction_settlement_declined": "settlement_declined",
        "refund_failed": "refund_failed",
        "subscription_canceled subscription_expired": "subscription_ended",
        "dispute_opened dispute_lost dispute_accepted dispute_auto_accepted dispute_expired": "dispute_lost",
        "dispute_won": "dispute_won",
        LISTED: "by_status",
    }
    ignored: ClassVar = {
        "Braintree's own test of the endpoint": "check",
        "subscription_charged_successfully follows where the new attempt succeeds": "transaction_retried",
        "no money moved: it is withdrawn since the dispute opened": "dispute_disputed",
        "no money moved: dispute_won or dispute_lost follows when it does": "dispute_under_review",
        "a payout to the bank: no money of the member's moved": "disbursement disbursement_exception",
        "a risk review: no money moved": "transaction_reviewed",
    }
    about_money = ("subscription_charged_", "transaction_", "dispute_", "refund_")

    def details(self, type: str, event: Object, resource: bytes | None) -> tuple[Object, datetime]:
        """The subject, and when the notice was made."""
        return strict.mapping(event, "subject"), strict.iso_time(event, "timestamp")

    def named_payment(self, subject: Object, at: datetime) -> tuple[str | None, datetime]:
        """The charge that the subject is about: of a subscription the newest, of a refund the one that it refunds."""
        charges = strict.objects(strict.mapping(subject, "subscription"), "transactions")
        about = strict.mapping(strict.mapping(subject, "dispute") or subject, "transaction") or next(iter(charges), {})
        named = (strict.optional_name(about, key) for key in ("refunded_transaction_id", "id"))
        return next(filter(None, named), None), at

    def charged(self, subject: Object, at: datetime) -> list[Fact]:
        """The newest charge of a subscription; a second one within a billing period is a proration."""
        subscription = strict.mapping(subject, "subscription")
        charges = _charges(subscription)
        if not charges:
            raise Ignored("it has no charge that went through: nothing was paid")
        newest = max(charges, key=lambda charge: _created(charge, at))
        charge = {name: subscription.get(name) for name in OF_BOTH} | newest
        reference, earlier = strict.optional_name(subscription, "id"), paid_before(newest, charges)
        return [_paid(charge, at, reference, earlier, subscription)]

    def skipped(self, subject: Object, at: datetime) -> list[Fact]:
        """A period that the subscription's balance paid for: money that the payer had paid before.

        Source: reference/general/webhooks/subscription ("a negative or zero balance that covers the cost").
        """
        subscription = strict.mapping(subject, "subscription")
        charges, reference = _charges(subscription), strict.name(subscription, "id")
        if subscription.get("price") is None or not charges:
            raise Ignored("nothing was paid for it, now or before")
        charge = charges[0] | {name: subscription.get(name) for name in OF_BOTH} | {"subscription": subscription}
        currency = strict.currency(charge, "currency_iso_code")
        cost = _cost(charge, subscription, currency)
        start = billing_period(charge) or f"{at:%Y-%m-%d}"
        payment = f"skipped:{reference}:{start}"
        if not strict.is_name(payment):
            raise Unusable("the subscription's id is too long")
        return [payers.known(_shaped(charge, payment, at, 0, currency, reference, cost))]

    def unpaid(self, subject: Object, at: datetime) -> list[Fact]:
        """A charge of a subscription that failed. Another try is another charge, so the subscription is named."""
        subscription = strict.mapping(subject, "subscription")
        charges = strict.objects(subscription, "transactions")
        return [_owed(strict.name(subscription, "id"), at, charges[0] if charges else {})]

    def settled(self, subject: Object, at: datetime) -> list[Fact]:
        """A refund that went through, or a sale without a subscription: of others there was a notice before."""
        transaction = strict.mapping(subject, "transaction")
        if transaction.get("type") == "credit":
            return _refunded(transaction, at)
        if strict.optional_name(transaction, "subscription_id"):
            raise Ignored("the same money as subscription_charged_successfully, which credits")
        return [_paid(transaction, at, None)]

    def settlement_declined(self, subject: Object, at: datetime) -> list[Fact]:
        """A bank debit, or the refund of one, that did not go through."""
        transaction = strict.mapping(subject, "transaction")
        if transaction.get("type") == "credit":
            return self.refund_failed(subject, at)
        taken, subscription = _taken_back(transaction, at, "settlement"), transaction.get("subscription_id")
        return [*taken, _owed(str(subscription), at, transaction)] if strict.is_name(subscription) else taken

    def refund_failed(self, subject: Object, at: datetime) -> list[Fact]:
        """A refund that came to nothing."""
        return [Restored(*_refund(strict.mapping(subject, "transaction"), at))]

    def subscription_ended(self, subject: Object, at: datetime) -> list[Fact]:
        """A subscription that was cancelled, or has had its last billing cycle."""
        return [announcing.ends(strict.name(strict.mapping(subject, "subscription"), "id"), at, at)]

    def dispute_lost(self, subject: Object, at: datetime) -> list[Fact]:
        """The disputed amount is withdrawn."""
        payment, cause, amount, currency = _dispute(subject)
        return [Reversed(payment, at, cause, amount, currency)]

    def dispute_won(self, subject: Object, at: datetime) -> list[Fact]:
        """The money came back, or a part of it: this is the dispute's last event, so the rest stays withdrawn."""
        payment, cause, amount, currency = _dispute(subject)
        dispute = strict.mapping(subject, "dispute")
        won = amount if dispute.get("amount_won") is None else strict.decimal_amount(dispute, "amount_won", currency)
        if 0 < won < amount:
            return [Reversed(payment, at, cause, amount - won, currency)]
        return [Restored(payment, at, cause, amount, currency)]

    def by_status(self, subject: Object, at: datetime) -> list[Fact]:
        """What a transaction means by its status, as the API lists it."""
        transaction = strict.mapping(subject, "transaction")
        status = _status(transaction)
        if transaction.get("type") == "credit":
            if status in TAKEN:
                return _refunded(transaction, at)
            if status in NEVER | DECLINED | {"voided"}:
                return self.refund_failed(subject, at)
            raise Ignored(f"the refund is {status[:60]}: no money went back yet")
        if status in TAKEN:
            subscription = strict.optional_name(transaction, "subscription_id")
            return [_paid(transaction, at, subscription, strict.optional_name(transaction, "paid_before"))]
        if status == "voided":
            return _taken_back(transaction, at, "void")
        if status in DECLINED:
            return _taken_back(transaction, at, "settlement")
        raise Ignored(f"the charge is {status[:60]}: no money was taken")

    def claims(self, facts: list[Fact], subject: Object, at: datetime) -> list[Fact]:
        """Of a subscription whose id, which the merchant may choose, begins with a code; else by a custom field.

        Sources: reference/request/subscription/create (id), guides/transactions (custom fields, of transactions only).
        """
        charges = strict.objects(strict.mapping(subject, "subscription"), "transactions")
        charges += [strict.mapping(subject, "transaction")]
        fields = (strict.mapping(charge, "custom_fields").get(claiming.KEY) for charge in charges)
        code = next(filter(None, map(claiming.begins, fields)), None)
        return claiming.chosen(facts) or claiming.closest(facts, code)

    # Beside the facts

    def payer_details(self, type: str, body: bytes, resource: bytes | None = None) -> Payer | None:
        """The customer's name and e-mail address, and the subscription's description, plan or the order's id."""
        try:
            subject = strict.mapping(self.load(body), "subject")
            subscription = strict.mapping(subject, "subscription")
            transaction = strict.mapping(subject, "transaction")
            charge = (strict.objects(subscription, "transactions") or [transaction])[0]
            customer = strict.mapping(charge, "customer")
        except Unusable:
            return None
        names = [customer.get(name) for name in ("first_name", "last_name", "company")]
        name = " ".join(each for each in names if isinstance(each, str))
        described = subscription.get("description") or subscription.get("plan_id") or charge.get("order_id")
        return payers.details(name, customer.get("email"), described)


class _Extra(NamedTuple):
    """An add-on or a discount, in all."""

    reference: str | None
    amount_minor: int
    quantity: int
    once: bool
    """Whether it is for one billing period only, as a joining fee is."""


def _extras(charge: Object, kind: str, currency: str) -> list[_Extra]:
    extras = []
    for each in strict.objects(charge, kind):
        if each.get("amount") is not None:
            count = _count(each, "quantity") or 1
            amount = strict.decimal_amount(each, "amount", currency) * count
            once = _count(each, "number_of_billing_cycles") == 1
            extras.append(_Extra(strict.optional_name(each, "id"), amount, count, once))
    return extras


def _count(holder: Object, key: str) -> int | None:
    text = strict.optional_name(holder, key)
    if text is not None and not (text.isdecimal() and len(text) <= 6):
        raise Unusable(f"{key} is not a number")
    return None if text is None else int(text)


def _total(extras: Iterable[_Extra]) -> int:
    return sum(extra.amount_minor for extra in extras)


def _paid(
    charge: Object, at: datetime, subscription: str | None, earlier: str | None = None, details: Object | None = None
) -> Paid:  # fmt: skip
    """A charge, of that subscription or of none; `earlier` had paid for its billing period already.

    `details` is what a notice says of the subscription.
    """
    if subscription is None and _customer(charge) is None:
        raise Ignored(payers.NOBODY)
    currency = strict.currency(charge, "currency_iso_code")
    payment, amount = strict.name(charge, "id"), strict.decimal_amount(charge, "amount", currency)
    found = payment, _created(charge, at), amount, currency
    if earlier:
        references = tuple(filter(None, (subscription, strict.optional_name(charge, "plan_id"))))
        lines = (Line(references, amount, proration=True),)
        return payers.known(Paid(*found, _named(subscription), _named(_customer(charge)), lines=lines))
    settled, periods = _by_price(charge, details or {}, amount, currency)
    return payers.known(_shaped(charge, *found, subscription, settled, periods))


def _shaped(
    charge: Object, payment: str, at: datetime, amount: int, currency: str, subscription: str | None,
    settled: int | None, periods: int = 1,
) -> Paid:  # fmt: skip
    """A payment for the charge's period, with its add-ons as lines of their own; dues are before discounts."""
    add_ons, off = _extras(charge, "add_ons", currency), _total(_extras(charge, "discounts", currency))
    due, covers = (amount if settled is None else settled) + off, _covered(charge, periods)
    plan, lines = strict.optional_name(charge, "plan_id"), []
    if subscription and (plan or add_ons):
        lines.append(Line(tuple(filter(None, (subscription, plan))), due - _total(add_ons), covers))
        for extra in add_ons:
            references = None if extra.once else subscription, extra.reference
            lines.append(Line(tuple(filter(None, references)), extra.amount_minor, covers, extra.quantity))
    return Paid(
        payment, at, amount, currency, _named(subscription), _named(_customer(charge)), covers, due if off else None,
        settled, tuple(lines),
    )  # fmt: skip


def _by_price(charge: Object, details: Object, amount: int, currency: str) -> tuple[int | None, int]:
    """What the charge settled where the balance paid a part of the price, and how many periods it paid for."""
    if details.get("price") is None:
        return None, 1
    cost = _cost(charge, details, currency)
    if 0 < amount < cost and _nothing_owed(details, currency):
        return cost, 1
    periods, rest = divmod(amount, cost) if cost else (1, 0)
    return None, periods if not rest and 1 < periods <= MOST_PERIODS else 1


def _cost(charge: Object, subscription: Object, currency: str) -> int:
    """What the subscription costs for one period: its price with add-ons, less discounts; never below zero."""
    extra, off = (_total(_extras(charge, kind, currency)) for kind in ("add_ons", "discounts"))
    return max(0, strict.decimal_amount(subscription, "price", currency) + extra - off)


def _nothing_owed(subscription: Object, currency: str) -> bool:
    """Whether the subscription's balance says that nothing is left to pay; below zero it is the payer's."""
    balance = strict.optional_name(subscription, "balance")
    if balance is None:
        return False
    return strict.decimal_amount({"balance": balance.removeprefix("-")}, "balance", currency) == 0 or balance[0] == "-"


def _named(reference: str | None) -> tuple[str, ...]:
    return (reference,) if reference else ()


def _customer(charge: Object) -> str | None:
    return strict.optional_name(strict.mapping(charge, "customer"), "id")


def _covered(charge: Object, periods: int) -> Period | None:
    """The days that a charge pays for, with periods before its own. Braintree names the first and the last."""
    period = strict.mapping(charge, "subscription")
    start, last = (strict.optional_name(period, f"billing_period_{end}_date") for end in ("start", "end"))
    if start is None or last is None:
        return None
    try:
        first, until = date.fromisoformat(start), date.fromisoformat(last) + timedelta(days=1)
        first -= (until - first) * (periods - 1)
    except (ValueError, OverflowError):
        raise Unusable("billing_period_start_date or billing_period_end_date is not a date") from None
    return datetime.combine(first, time(), UTC), datetime.combine(until, time(), UTC)


def _owed(subscription: str, at: datetime, charge: Object) -> DuesFailed:
    return DuesFailed(subscription, at, (subscription,), _named(_customer(charge)), is_one_try=True)


def _charges(subscription: Object) -> list[Object]:
    """The subscription's charges that went through."""
    transactions = strict.objects(subscription, "transactions")
    return [each for each in transactions if each.get("type") != "credit" and _status(each) in TAKEN]


def _refunded(refund: Object, at: datetime) -> list[Fact]:
    return [Reversed(*_refund(refund, _created(refund, at)))]


def _refund(refund: Object, at: datetime) -> tuple[str, datetime, str, int, str]:
    """The payment, the time, the cause and the amount."""
    if "refunded_transaction_id" in refund and refund["refunded_transaction_id"] is None:
        raise Ignored("a credit that refunds no charge")
    payment, cause = strict.name(refund, "refunded_transaction_id"), f"refund:{strict.name(refund, 'id')}"
    currency = strict.currency(refund, "currency_iso_code")
    return payment, at, cause, strict.decimal_amount(refund, "amount", currency), currency


def _dispute(subject: Object) -> tuple[str, str, int, str]:
    """The payment, the cause and the disputed amount."""
    dispute = strict.mapping(subject, "dispute")
    if dispute.get("kind") == "retrieval":
        raise Ignored("a retrieval: the bank asks, no money was withdrawn")
    payment = strict.name(strict.mapping(dispute, "transaction"), "id")
    cause, currency = f"dispute:{strict.name(dispute, 'id')}", strict.currency(dispute, "currency_iso_code")
    disputed = "amount" if dispute.get("amount_disputed") is None else "amount_disputed"
    return payment, cause, strict.decimal_amount(dispute, disputed, currency), currency


def _taken_back(charge: Object, at: datetime, family: str) -> list[Fact]:
    payment = strict.name(charge, "id")
    return [Reversed(payment, at, f"{family}:{payment}")]


def paid_before(charge: Object, charges: Iterable[Object]) -> str | None:
    """The charge that had paid the same billing period already."""
    period = billing_period(charge)
    for other in charges if period else ():
        is_another = other.get("id") != charge.get("id") and other.get("type") != "credit"
        if is_another and _status(other) in TAKEN and billing_period(other) == period:
            first, second = strict.iso_time(other, "created_at"), strict.iso_time(charge, "created_at")
            if first < second:
                return strict.name(other, "id")
    return None


def billing_period(charge: Object) -> str | None:
    """The first day of the period that a charge is for."""
    return strict.optional_name(strict.mapping(charge, "subscription"), "billing_period_start_date")


def _created(transaction: Object, at: datetime) -> datetime:
    return at if transaction.get("created_at") is None else strict.iso_time(transaction, "created_at")


def _status(transaction: Object) -> str:
    return str(transaction.get("status"))
