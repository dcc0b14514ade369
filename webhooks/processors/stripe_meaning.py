"""Stripe: what its objects mean. An invoice is read by its lines and amounts, never by its `billing_reason`.

`invoice.paid` says that nothing of an invoice remains to be paid. Its subscription is found in the invoice or in its
lines; the lines of that subscription are the dues, and say for which period. (The invoice's own `period_start` and
`period_end` are the period *before*.) All other lines are one-off: joining fees, lockers, late fees.

A balance below zero is the customer's credit: what an invoice took of it was settled without money. A balance above
zero is a debt from before: it makes the amount paid larger, and is no part of the dues.

A credit note after the payment says how the money went back. Refunds come as events of their own, so of them the note
only says for which lines they were. What it gave to the balance, or back outside Stripe, it alone tells.

Sources: docs.stripe.com/api (invoices, invoice-line-item, invoice-payment, credit_notes, refunds, disputes,
checkout/sessions), docs.stripe.com/billing/customer/balance, docs.stripe.com/changelog/basil,
docs.stripe.com/payments/ach-direct-debit, docs.stripe.com/currencies.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import accumulate, pairwise
from typing import ClassVar, NamedTuple

from models.catalogue.days import Period
from models.database.naming import visible
from models.payments.facts import Change, DuesFailed, Fact, Line, LineRefunded, Linked, Noted, Paid, Restored, Reversed
from webhooks.processors import payers, strict, stripe_codes
from webhooks.processors.base import Object
from webhooks.processors.events import Ignored, Payer, Unusable
from webhooks.processors.stripe_subscriptions import BEFORE

SAME_MONEY = "the same money as invoice.paid, which credits"
ONE_OFF = {"invoice_item_details", "invoiceitem"}
RECURRING = {"subscription_item_details", "subscription"}
"""How a line is called, since Basil in its parent, before that in its type."""
NAMES = ("invoice", "payment_intent", "charge")
"""What names a payment: one of these objects, or what stands under such a key; the first that there is."""
THIN, THIN_EVENT = "v1.", "v2.core.event"
"""How types of thin events begin whose object is one of API v1, and what the `object` of thin events is."""


class Billed(NamedTuple):
    """A line of an invoice, the subscription that it belongs to, and whether it is the dues of that subscription."""

    line: Line
    subscription: str | None
    is_dues: bool


class Meaning(stripe_codes.Codes):
    """The meaning of Stripe's events, and nothing of how they come."""

    readings: ClassVar = {
        "invoice.paid": "invoice_paid",
        "invoice_payment.paid": "invoice_payment_paid",
        "invoice.payment_failed": ("invoice_unpaid", False),
        "invoice.voided": ("invoice_unpaid", True),
        "checkout.session.completed checkout.session.async_payment_succeeded": "checkout_paid",
        "refund.created refund.updated refund.failed charge.refund.updated": "refund",
        "charge.refunded": "charge_refunded",
        "credit_note.created credit_note.updated credit_note.voided": "credit_note",
        "charge.dispute.funds_withdrawn": ("dispute", Reversed),
        "charge.dispute.funds_reinstated": ("dispute", Restored),
        "charge.dispute.closed": ("dispute", None),
        "customer.subscription.created": "subscription_made",
        "customer.subscription.updated": "subscription_updated",
        "customer.subscription.deleted": "subscription_deleted",
        "customer.subscription.paused": ("subscription_rests", Change.PAUSED),
        "customer.subscription.resumed": ("subscription_rests", Change.RESUMED),
    }
    ignored: ClassVar = {
        SAME_MONEY: """
            invoice.payment_succeeded invoice.overpaid payment_intent.succeeded charge.succeeded charge.captured""",
        "a failed attempt: no money moved": """
            payment_intent.payment_failed payment_intent.canceled charge.failed charge.expired
            checkout.session.async_payment_failed""",
        "written off, but owed still: invoice.paid or invoice.voided ends that": "invoice.marked_uncollectible",
        "no money moved yet": """
            invoice.payment_action_required invoice.payment_attempt_required charge.pending payment_intent.created
            payment_intent.processing payment_intent.requires_action payment_intent.partially_funded
            payment_intent.amount_capturable_updated""",
        "no money moved yet: charge.dispute.funds_withdrawn follows when it does": "charge.dispute.created",
        "no money moved: funds_withdrawn or funds_reinstated follows when it does": "charge.dispute.updated",
        "no money moved: refunds and disputes have events of their own": "charge.updated",
        "no money moved: it says nothing about dues": """
            invoice.created invoice.deleted invoice.discount_added invoice.discount_removed invoice.finalization_failed
            invoice.finalized invoice.line_item_added invoice.line_item_pricing_changed
            invoice.line_item_quantity_changed invoice.line_item_removed invoice.overdue invoice.sent invoice.upcoming
            invoice.updated invoice.will_be_due invoice_payment.canceled invoice_payment.open
            checkout.session.expired""",
    }
    about_money = (
        "invoice.", "invoice_payment.", "charge.", "payment_intent.", "refund.", "credit_note.", "checkout.session.",
    )  # fmt: skip
    digits: ClassVar = {"ISK": 2, "MGA": 0, "UGX": 2}  # docs.stripe.com/currencies: zero-decimal, special cases

    def reading(self, type: str) -> Callable[..., list[Fact]]:
        """The method that reads events of that type, thin or not."""
        return super().reading(type.removeprefix(THIN))

    def is_unknown(self, type: str) -> bool:
        """The same of a type that is thin."""
        return super().is_unknown(type.removeprefix(THIN))

    def named_payment(self, holder: Object, at: datetime) -> tuple[str | None, datetime]:
        """The invoice, payment intent or charge that the object names, or is."""
        named = holder | {str(holder.get("object")): holder.get("id")}
        return next(filter(None, (strict.optional_name(named, key) for key in NAMES)), None), at

    def details(self, type: str, event: Object, resource: bytes | None) -> tuple[Object, datetime]:
        """The object, of a thin event as it was fetched, and when the event was made."""
        if not type.startswith(THIN):
            data = strict.mapping(event, "data")
            found, before = strict.mapping(data, "object"), data.get(BEFORE)
            return found | {BEFORE: before} if before else found, strict.unix_time(event, "created")
        if resource is None:
            raise Unusable("its object was not fetched")
        found, asked = strict.loads(resource), strict.name(strict.mapping(event, "related_object"), "id")
        if strict.name(found, "id") != asked:
            raise Unusable(f"it is about {asked[:60]}, but another object was fetched")
        return found, strict.iso_time(event, "created")

    # Money in

    def invoice_paid(self, invoice: Object, at: datetime) -> list[Fact]:
        """The payment of an invoice, and which charge paid it where the invoice names it."""
        reference, (amount, currency) = strict.name(invoice, "id"), self._money(invoice, "amount_paid")
        if invoice.get("paid_out_of_band") is True:
            # Some versions of the API do not count cash in amount_paid.
            amount = max(amount, self._amount(invoice, "amount_due", currency))
        balance = self._balance_used(invoice, amount, currency)
        if amount + balance == 0:
            raise Ignored("zero amount: nothing was paid")
        own, lines_page = _subscription(invoice), strict.mapping(invoice, "lines")
        billed = [self._line(line, own, currency) for line in strict.objects(lines_page, "data")]
        dues = [each for each in billed if each.is_dues and own in {None, each.subscription}]
        found = (own,) if own else dict.fromkeys(each.subscription for each in dues or billed)
        named, payer = tuple(filter(None, found)), _payer(invoice)
        if not (named or payer or billed):
            raise Ignored("names nobody: it has no subscription, no customer and no lines")
        lines = tuple(each.line for each in billed)
        covers, due_minor = _dues([each.line for each in dues] or lines, _time(invoice, "period_end"))
        paid_at = _time(strict.mapping(invoice, "status_transitions"), "paid_at") or at
        settled = amount + balance if balance else None
        paid = Paid(reference, paid_at, amount, currency, named, payer, covers, due_minor, settled, lines)
        facts: list[Fact] = [paid, *_links(reference, at, invoice, "payment_intent", "charge")]
        if lines_page.get("has_more") is True:
            facts.append(Noted(reference, paid_at, "The invoice has more lines than Stripe sent. See it in Stripe."))
        return facts

    def invoice_unpaid(self, closed: bool, invoice: Object, at: datetime) -> list[Fact]:
        """An attempt to collect an invoice that failed; a void invoice is owed no more (`closed`)."""
        amount, currency = self._money(invoice, "amount_due")
        own = _subscription(invoice)
        billed = [self._line(line, own, currency) for line in strict.objects(strict.mapping(invoice, "lines"), "data")]
        found = (own,) if own else dict.fromkeys(each.subscription for each in billed if each.is_dues)
        named, reference = tuple(filter(None, found)), strict.name(invoice, "id")
        failed = DuesFailed(reference, at, named, _payer(invoice), amount, currency, closed=closed)
        return [failed if closed else payers.owing(failed)]

    def _balance_used(self, invoice: Object, paid: int, currency: str) -> int:
        """What was taken of the customer's credit, which Stripe keeps as a balance below zero."""
        before, after, total = (
            self._amount(invoice, key, currency) for key in ("starting_balance", "ending_balance", "total")
        )
        return max(0, min(min(after, 0) - before, total - paid))

    def _line(self, line: Object, own: str | None, currency: str) -> Billed:
        """One line of an invoice, whose own subscription is `own`."""
        parent, pricing = strict.mapping(line, "parent"), strict.mapping(line, "pricing")
        kind = parent.get("type") or line.get("type")
        one_off = isinstance(kind, str) and kind in ONE_OFF
        details = strict.mapping(parent, "invoice_item_details" if one_off else "subscription_item_details")
        subscription = strict.optional_name(details, "subscription") or strict.optional_name(line, "subscription")
        if subscription is None and isinstance(kind, str) and kind in RECURRING:
            subscription = own
        proration = details.get("proration") is True or line.get("proration") is True
        # A fee that was added to a subscription names it, but is no part of its dues.
        is_dues = subscription is not None and (proration or not one_off)
        item = strict.optional_name(details, "subscription_item") or strict.optional_name(line, "subscription_item")
        new, old = strict.mapping(pricing, "price_details"), line.get("price") or line.get("plan")
        references = (
            subscription if is_dues else None,
            item,
            _chosen(new.get("price")) or _chosen(old),
            _chosen(new.get("product")) or _chosen(old.get("product") if isinstance(old, dict) else None),
        )
        period = strict.mapping(line, "period")
        start, end = _time(period, "start"), _time(period, "end")
        # Of a fee without a period, both are the moment when it was added.
        covers = (start, end) if start and end and not (one_off and start == end) else None
        amount, identity = self._amount(line, "amount", currency), strict.optional_name(line, "id") or ""
        named = tuple(filter(None, dict.fromkeys(references)))
        return Billed(Line(named, amount, covers, _quantity(line), proration, identity), subscription, is_dues)

    def invoice_payment_paid(self, invoice_payment: Object, at: datetime) -> list[Fact]:
        """The link between an invoice and what paid it."""
        payment = strict.mapping(invoice_payment, "payment")
        links = _links(strict.name(invoice_payment, "invoice"), at, payment, "payment_intent", "charge")
        if not links:
            raise Ignored("paid outside Stripe: there is no payment intent to link")
        return links

    def checkout_paid(self, session: Object, at: datetime) -> list[Fact]:
        """A payment without an invoice: it names its customer, and no subscription."""
        status = session.get("payment_status")
        if status in ("unpaid", "no_payment_required"):
            raise Ignored(f"no money moved: the payment status is {status}")
        # The invoice may be made after the session is complete.
        invoiced = session.get("invoice") or strict.mapping(session, "invoice_creation").get("enabled") is True
        if (session.get("mode"), status) != ("payment", "paid") or invoiced:
            raise Ignored(SAME_MONEY)
        reference, (amount, currency) = strict.name(session, "payment_intent"), self._money(session, "amount_total")
        payer, sale = _payer(session), stripe_codes.sale_of(session)
        if amount == 0:
            raise Ignored("zero amount: nothing was paid")
        if not (payer or sale):
            raise Ignored("names nobody: it has no customer")
        due_minor = self._amount(session, "amount_subtotal", currency) or None
        return [Paid(reference, at, amount, currency, (sale,) if sale else (), payer, due_minor=due_minor)]

    def payer_details(self, type: str, body: bytes, resource: bytes | None = None) -> Payer | None:
        """The customer's name and e-mail address, and what the invoice was for."""
        try:
            holder, _ = self.details(type, self.load(body), resource)
            customer = strict.mapping(holder, "customer_details")
            lines = strict.objects(strict.mapping(holder, "lines"), "data")
        except Unusable:
            return None
        described = [holder.get("description"), *(line.get("description") for line in lines)]
        details = Payer(
            _text(holder.get("customer_name") or customer.get("name")),
            _text(holder.get("customer_email") or customer.get("email")),
            _text(", ".join(dict.fromkeys(each for each in described if each and isinstance(each, str)))),
        )
        return details if any(details) else None

    # Money back

    def refund(self, refund: Object, at: datetime) -> list[Fact]:
        """A refund that went through, or failed."""
        status = str(refund.get("status"))
        reference, links = _payment(refund, at)
        # Grouped by charge: a running total of one charge is compared with that charge's refunds only.
        cause = f"refund of {strict.optional_name(refund, 'charge') or reference}:{strict.name(refund, 'id')}"
        amount, currency = self._money(refund, "amount")
        if status == "succeeded":
            return [Reversed(reference, strict.unix_time(refund, "created"), cause, amount, currency), *links]
        if status in {"failed", "canceled"}:
            return [Restored(reference, at, cause, amount, currency), *links]
        raise Ignored(f"the refund is {status[:60]}: no money went back yet")

    def charge_refunded(self, charge: Object, at: datetime) -> list[Fact]:
        """All that was refunded of a charge so far."""
        amount, currency = self._money(charge, "amount_refunded")
        reference = strict.name(charge, "id")
        total = Reversed(reference, at, f"refund of {reference}", amount, currency, running_total=True)
        return [total, *_links(reference, at, charge, "payment_intent", "invoice")]

    def credit_note(self, note: Object, at: datetime) -> list[Fact]:
        """What a note gave to the customer's balance, or back outside Stripe; and for which lines refunds were."""
        named, invoice = strict.name(note, "id"), strict.name(note, "invoice")
        amount, currency = self._money(note, "amount")
        if note.get("post_payment_amount") is not None:
            amount, _ = self._money(note, "post_payment_amount")
        elif note.get("type") == "pre_payment":
            amount = 0
        if amount == 0:
            raise Ignored("the invoice was reduced before it was paid: no money went back")
        refunds, elsewhere = self._ways_back(note, amount, currency)
        made, cause = _time(note, "created") or at, f"credit note:{named}"
        if note.get("status") == "void" and elsewhere:
            return [Restored(invoice, _time(note, "voided_at") or at, cause, elsewhere, currency)]
        facts: list[Fact] = [Reversed(invoice, made, cause, elsewhere, currency)] if elsewhere else []
        for refund, back in [*refunds, (named, elsewhere)]:
            by_line = self._by_line(note, back, currency).items()
            facts += [LineRefunded(invoice, made, refund, line, share, currency) for line, share in by_line]
        if note.get("refund") and not note.get("refunds") and note.get("customer_balance_transaction"):
            facts.append(Noted(invoice, made, f"Stripe does not say how much of {named} went to the member's balance."))
        if not facts:
            raise Ignored("its refunds have events of their own, and it names no line of the invoice")
        return facts

    def _ways_back(self, note: Object, amount: int, currency: str) -> tuple[list[tuple[str, int]], int]:
        """The note's refunds, each with its amount, and what it gave back in other ways."""
        refunded = [each for each in strict.objects(note, "refunds") if each.get("refund")]
        refunds = [(strict.name(each, "refund"), self._amount(each, "amount_refunded", currency)) for each in refunded]
        if not refunds and (only := strict.optional_name(note, "refund")):
            # Versions before `refunds` name one, without its amount.
            refunds = [(only, amount - self._amount(note, "out_of_band_amount", currency))]
        return refunds, max(0, amount - sum(back for _, back in refunds))

    def _by_line(self, note: Object, amount: int, currency: str) -> dict[str, int]:
        """The amount by lines of the invoice, in proportion to what the note says of each."""
        lines = strict.objects(strict.mapping(note, "lines"), "data")
        weights = [
            max(0, self._amount(line, "amount", currency) - self._amount(line, "discount_amount", currency))
            for line in lines
        ]
        bounds = [amount * weight // (sum(weights) or 1) for weight in accumulate(weights, initial=0)]
        shares: dict[str, int] = {}
        for line, (start, end) in zip(lines, pairwise(bounds), strict=True):
            named = strict.optional_name(line, "invoice_line_item")
            if named and end > start:
                shares[named] = shares.get(named, 0) + end - start
        return shares

    def dispute(self, fact: type[Reversed | Restored] | None, dispute: Object, at: datetime) -> list[Fact]:
        """Money that a dispute took or gave back; without a fact, its status decides."""
        status = str(dispute.get("status"))
        if status.startswith("warning_"):
            raise Ignored("an inquiry: no money was withdrawn")
        fact = fact or {"won": Restored, "lost": Reversed}.get(status)
        if fact is None:
            raise Ignored(f"the dispute closed as {status[:60]}: no money moved")
        reference, links = _payment(dispute, at)
        return [fact(reference, at, f"dispute:{strict.name(dispute, 'id')}", *self._money(dispute, "amount")), *links]

    # Amounts

    def _money(self, holder: Object, key: str) -> tuple[int, str]:
        return strict.money(holder, key, theirs=self.digits)

    def _amount(self, holder: Object, key: str, currency: str) -> int:
        """An amount of that currency, which may be below zero; 0 where it is missing. Raises Unusable."""
        value = holder.get(key)
        if value is None:
            return 0
        sign = -1 if type(value) is int and value < 0 else 1
        holder = {key: -value if sign < 0 else value, "currency": currency}
        return sign * strict.money(holder, key, theirs=self.digits)[0]


def _dues(lines: Sequence[Line], period_before_ends: datetime | None) -> tuple[Period | None, int | None]:
    """The period that the lines pay for, and what they cost before discounts.

    Lines for a whole period decide. Prorations, unused time that is given back, and usage of the period before count
    only where there is nothing else.
    """
    whole = [
        line
        for line in lines
        if line.amount_minor > 0
        and not line.proration
        and not (line.covers and period_before_ends and line.covers[1] <= period_before_ends)
    ]
    counted = whole or lines
    periods = [line.covers for line in counted if line.covers and line.amount_minor > 0]
    covers = (min(start for start, _ in periods), max(end for _, end in periods)) if periods else None
    return covers, max(0, sum(line.amount_minor for line in counted)) if counted else None


def _subscription(invoice: Object) -> str | None:
    """The invoice's own subscription: since Basil in its parent."""
    details = strict.mapping(strict.mapping(invoice, "parent"), "subscription_details")
    return strict.optional_name(details, "subscription") or strict.optional_name(invoice, "subscription")


def _payer(holder: Object) -> tuple[str, ...]:
    """The customer, and the account that stands for it where there is one."""
    return tuple(filter(None, (strict.optional_name(holder, key) for key in ("customer", "customer_account"))))


def _payment(holder: Object, at: datetime) -> tuple[str, list[Fact]]:
    """The payment that was refunded or disputed, with the link between its two names."""
    charge, intent = strict.optional_name(holder, "charge"), strict.optional_name(holder, "payment_intent")
    reference = intent or charge
    if reference is None:
        raise Unusable("names neither a charge nor a payment intent")
    return reference, _links(reference, at, holder, "charge") if intent else []


def _links(reference: str, at: datetime, holder: Object, *keys: str) -> list[Fact]:
    others = (strict.optional_name(holder, key) for key in keys)
    return [Linked(reference, at, other) for other in others if other]


def _time(holder: Object, key: str) -> datetime | None:
    return strict.unix_time(holder, key) if holder.get(key) else None


def _quantity(line: Object) -> int:
    quantity = line.get("quantity")
    if quantity is None:
        return 1
    if type(quantity) is not int or not 0 <= quantity <= strict.MAX_MINOR_UNITS:
        raise Unusable("quantity is not a whole number")
    return quantity


def _chosen(named: object) -> str | None:
    """The id of a price, plan or product. Gyms may choose it: one that cannot be a reference is left out."""
    named = named.get("id") if isinstance(named, dict) else named
    return named if isinstance(named, str) and strict.is_name(named) else None


def _text(value: object) -> str | None:
    return visible(value)[:200] or None if isinstance(value, str) else None
