"""What Authorize.Net's notifications mean, and what its API lists.

A payment is of its subscription, where it names one. Its payer is the customer profile. A payment that names neither,
as first dues that were a plain sale, is of the customer by the merchant's own id. Its line items are its lines.
"""

from datetime import datetime
from typing import ClassVar, NamedTuple

from models.payments.facts import DuesFailed, Fact, Paid, Restored, Reversed
from webhooks.processors import announcing, claiming, items, payers, strict
from webhooks.processors.base import Object, Processor
from webhooks.processors.events import Ignored, NotYet, Payer, Unusable
from webhooks.processors.items import Item

APPROVED = 1
"""The response code of a transaction that went through."""
LISTED = "transaction_listed"
"""Our own types, for what the API lists: this, a dot, and the transaction's status."""
SUBSCRIPTION_ENDED = " ".join(
    f"net.authorize.customer.subscription.{how}" for how in ("cancelled", "terminated", "expired")
)
LISTED_AS_PAID = f"{LISTED}.settledSuccessfully"
BATCH_FAILED = "batch_failed"
"""Our own type, for a batch that the processor rejected."""
BATCH_FAILED_REASON = (
    "a day's batch failed to settle: have Authorize.Net reset it, and its payments settle with the next one. "
    "A batch that is not reset within 30 days never pays: then take the sessions of its payments"
)
HELD = "held for review: no money moved until fraud.approved says that it was released"
NOT_APPROVED = {2: "declined: no money moved", 3: "an error: no money moved", 4: HELD}
"""Response code -> why there was no payment."""


class TransactionEvent(NamedTuple):
    """An event of a transaction, with the transaction's details where they are needed."""

    transaction: str
    at: datetime
    payload: Object
    details: Object


class Meaning(Processor):
    """The meaning of Authorize.Net's events, and nothing of how they come."""

    _currency: str
    """The account's: nothing names one."""

    readings: ClassVar = {
        "net.authorize.payment.authcapture.created net.authorize.payment.capture.created": "paid",
        "net.authorize.payment.priorAuthCapture.created": "captured",
        "net.authorize.payment.fraud.approved": "released",
        "net.authorize.payment.fraud.declined": "undone",
        "net.authorize.payment.refund.created": "refunded",
        "net.authorize.payment.void.created": "voided",
        "net.authorize.customer.subscription.failed net.authorize.customer.subscription.suspended": "unpaid",
        SUBSCRIPTION_ENDED: "subscription_ended",
        LISTED_AS_PAID: "settled_in_batch",
        f"{LISTED}.failedReview": "undone",
        f"{LISTED}.voided": "voided",
        f"{LISTED}.refundSettledSuccessfully": ("taken_back_in_batch", "refund"),
        f"{LISTED}.returnedItem": ("taken_back_in_batch", "return"),
        f"{LISTED}.chargeback": ("chargeback", Reversed),
        f"{LISTED}.chargebackReversal": ("chargeback", Restored),
    }
    without_details: ClassVar = {
        "net.authorize.payment.fraud.declined", LISTED_AS_PAID, f"{LISTED}.failedReview", *SUBSCRIPTION_ENDED.split(),
        "net.authorize.customer.subscription.failed", "net.authorize.customer.subscription.suspended",
    }  # fmt: skip
    """The types of `readings` that can be read without details of the transaction."""
    ignored: ClassVar = {
        "authorised only: no money moved until it is captured": "net.authorize.payment.authorization.created",
        HELD: "net.authorize.payment.fraud.held",
        BATCH_FAILED_REASON: BATCH_FAILED,
    }
    about_money = ("net.authorize.payment.",)

    def needs_details(self, type: str, payload: Object) -> bool:
        """Whether the transaction's details have to be fetched. Of a listed payment only where it names nobody."""
        if type == LISTED_AS_PAID:
            return not (payload.get("subscription") or payload.get("profile"))
        return type in self.meanings and type not in self.without_details

    def details(self, type: str, event: Object, resource: bytes | None) -> tuple[TransactionEvent]:
        """The transaction. Raises Ignored for one that was not approved."""
        payload = strict.mapping(event, "payload")
        needed = type in self.meanings and type not in self.without_details
        if needed and not type.startswith(LISTED):
            _check_approved(payload)
        transaction = strict.name(payload, "id")
        if transaction == "0":
            raise Unusable("the transaction has no id: the account was in test mode")
        details = {} if resource is None else strict.loads(resource)
        if (needed or details) and details.get("transId") != transaction:
            raise Unusable("what was fetched are not this transaction's details")
        return (TransactionEvent(transaction, strict.iso_time(event, "eventDate"), payload, details),)

    def named_payment(self, event: TransactionEvent) -> tuple[str | None, datetime]:
        """The transaction of the notification. Raises Ignored for one that was not approved."""
        _check_approved(event.payload)
        return event.transaction, event.at

    def paid(self, event: TransactionEvent) -> list[Fact]:
        """A payment of the authorised amount."""
        return self._paid(event, strict.decimal_amount(event.payload, "authAmount", self._currency))

    def captured(self, event: TransactionEvent) -> list[Fact]:
        """A payment of the captured amount, which can be less than was authorised."""
        if event.details.get("transactionStatus") == "authorizedPendingCapture":
            raise NotYet("Authorize.Net's API says that the authorisation is still to be captured")
        settled = self._settled(event)
        # A transaction voided since settles nothing: the void takes all of it back.
        return self._paid(event, settled) if settled else self.paid(event)

    def released(self, event: TransactionEvent) -> list[Fact]:
        """A payment that had been held for review."""
        if event.details.get("transactionType") == "authOnlyTransaction":
            raise Ignored("authorised only: no money moved until it is captured")
        return self.paid(event)

    def settled_in_batch(self, event: TransactionEvent) -> list[Fact]:
        """A payment in a settled batch."""
        event = event._replace(
            at=strict.iso_time(event.payload, "submitTimeUTC"), details=event.details or event.payload
        )
        return self._paid(event, strict.decimal_amount(event.payload, "settleAmount", self._currency))

    def unpaid(self, event: TransactionEvent) -> list[Fact]:
        """A subscription whose payment failed. Another try is another transaction, so the subscription is named."""
        payer = _reference(strict.mapping(event.payload, "profile"), "customerProfileId")
        # Not its id alone: transactions and subscriptions are both numbered.
        named, by = f"subscription:{event.transaction}", (payer,) if payer else ()
        if not strict.is_name(named):
            raise Unusable("the subscription's id is too long")
        return [DuesFailed(named, event.at, (event.transaction,), by, is_one_try=True)]

    def subscription_ended(self, event: TransactionEvent) -> list[Fact]:
        """A subscription that was cancelled, or has had its last payment. (One is suspended when a payment failed.)"""
        return [announcing.ends(event.transaction, event.at, event.at)]

    def refunded(self, event: TransactionEvent) -> list[Fact]:
        """A refund of the notification's amount."""
        amount = strict.decimal_amount(event.payload, "authAmount", self._currency)
        return [Reversed(_payment_of(event), event.at, f"refund:{event.transaction}", amount, self._currency)]

    def voided(self, event: TransactionEvent) -> list[Fact]:
        """A payment that is taken back whole, or a refund that came to nothing."""
        if event.details.get("transactionType") == "refundTransaction":
            return [Restored(_payment_of(event), event.at, f"refund:{event.transaction}")]
        return self.undone(event)

    def undone(self, event: TransactionEvent) -> list[Fact]:
        """A payment that is taken back whole."""
        return [Reversed(event.transaction, event.at, f"void:{event.transaction}")]

    def taken_back_in_batch(self, family: str, event: TransactionEvent) -> list[Fact]:
        """A refund or return in a settled batch."""
        cause, amount = f"{family}:{event.transaction}", self._settled(event) or None
        return [Reversed(_payment_of(event), event.at, cause, amount, self._currency)]

    def chargeback(self, fact: type[Reversed | Restored], event: TransactionEvent) -> list[Fact]:
        """A chargeback and its reversal are transactions of their own: only the payment connects them."""
        payment = _referred(event) or event.transaction
        cause, amount = f"chargeback:{event.transaction} of {payment}", self._settled(event) or None
        return [fact(payment, event.at, cause, amount, self._currency)]

    def _paid(self, event: TransactionEvent, amount_minor: int) -> list[Fact]:
        subscription = _reference(strict.mapping(event.details, "subscription"), "id")
        payer = _reference(strict.mapping(event.details, "profile"), "customerProfileId")
        customer = strict.mapping(event.details, "customer").get("id")
        # The merchant's own id of the customer is free text, and lists do not have it.
        if not (subscription or payer) and strict.is_name(customer):
            payer = str(customer)
        billing = (subscription,) if subscription else ()
        by = () if subscription and not payer else claiming.named_by(_code_of(event), payer)
        paid = Paid(event.transaction, event.at, amount_minor, self._currency, billing, by)
        return [items.with_items(payers.known(paid), map(_item, items_in(event.details)))]

    def _settled(self, event: TransactionEvent) -> int:
        known = "settleAmount" in event.details
        return strict.decimal_amount(event.details, "settleAmount", self._currency) if known else 0

    def claims(self, facts: list[Fact], event: TransactionEvent) -> list[Fact]:
        """Of what a payment is looked up by: the code is its invoice number, in its description, or the customer's id.

        Source: AnetApiSchema.xsd (invoiceNumber and customer id up to 20 characters, description up to 255).
        """
        return claiming.closest(facts, _code_of(event))

    # Beside the facts

    def payer_details(self, type: str, body: bytes, resource: bytes | None = None) -> Payer | None:
        """The customer's e-mail address, and the order's description or invoice number. Names are not kept."""
        details, payload = strict.peek(resource or b"") or {}, (strict.peek(body) or {}).get("payload")
        customer, order, notice = (
            each if isinstance(each, dict) else {} for each in (details.get("customer"), details.get("order"), payload)
        )
        described = order.get("description") or order.get("invoiceNumber") or notice.get("invoiceNumber")
        return payers.details(None, customer.get("email"), described)


def _code_of(event: TransactionEvent) -> str | None:
    order, customer = (payers.inside(event.details, key) for key in ("order", "customer"))
    places = (payers.inside(order, "invoiceNumber"), payers.inside(order, "description"), payers.inside(customer, "id"))
    return claiming.within(*places, event.payload.get("invoiceNumber"))


def items_in(details: Object) -> list[Object]:
    """The items of a transaction: a list, or an object around one as in requests. None where one is no object."""
    found = details.get("lineItems")
    found = found.get("lineItem") if isinstance(found, dict) else found
    found = [found] if isinstance(found, dict) else found
    return found if isinstance(found, list) and all(isinstance(each, dict) for each in found) else []


def _item(item: Object) -> Item:
    price, quantity = items.number(item.get("unitPrice")), items.number(item.get("quantity"))
    return Item(item.get("itemId"), None if price is None or quantity is None else price * quantity, quantity)


def _check_approved(payload: Object) -> None:
    code = payload.get("responseCode")
    if type(code) is not int:
        raise Unusable("responseCode is not a number")
    if code != APPROVED:
        raise Ignored(NOT_APPROVED.get(code, f"response code {str(code)[:60]} is no approval"))


def _reference(holder: Object, key: str) -> str | None:
    value = holder.get(key)
    return strict.optional_name({key: str(value)} if type(value) is int else holder, key)


def _payment_of(event: TransactionEvent) -> str:
    """The payment that a refund or return refers to."""
    payment = _referred(event)
    if payment is None:
        raise Unusable("a refund or return that names no payment: there is nothing to take back for it")
    return payment


def _referred(event: TransactionEvent) -> str | None:
    payment = strict.optional_name(event.details, "refTransId")
    return None if payment == "0" else payment
