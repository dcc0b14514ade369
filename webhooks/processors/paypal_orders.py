"""What a PayPal subscription or order says of one of its payments: who paid, and what for.

Read leniently: whatever is missing or malformed is left out, and the payment counts all the same.
Amounts of payments, which are read strictly, are here too.
"""

from collections.abc import Iterator

from models.payments.facts import Line
from webhooks.processors import payers, strict
from webhooks.processors.base import Object
from webhooks.processors.events import Unusable

SETUP_FEE = "setup_fee"
"""The reference of the line that is a plan's set-up fee, so that a gym can mark it as not dues."""
ADDRESSES = {"address", "billing_address", "phone", "shipping", "shipping_address"}
MOST = 10**6
"""The largest quantity that is believed."""


def without_addresses(value: object) -> object:
    """The value without the addresses and telephone numbers in it, which nothing here needs."""
    if isinstance(value, dict):
        return {key: without_addresses(inner) for key, inner in value.items() if key not in ADDRESSES}
    return [without_addresses(inner) for inner in value] if isinstance(value, list) else value


def payer_of(subscription: Object, order: Object) -> tuple[str, ...]:
    """The id of PayPal's that the payer has, the same for all that they pay to this merchant."""
    payer = payers.inside(order, "payer")
    found = (payers.inside(subscription, "subscriber"), payer, payers.inside(payer, "payer_info"))
    named = (payers.inside(each, "payer_id") for each in found)
    return tuple(dict.fromkeys(filter(strict.is_name, named)))


def unit_of(order: object, payment: object) -> Object:
    """The purchase unit (version 2) or transaction (version 1) that the payment is of; empty where there is none."""
    for unit in objects(order, "purchase_units"):
        if any(capture.get("id") == payment for capture in objects(unit.get("payments"), "captures")):
            return unit
    for unit in objects(order, "transactions"):
        for related in objects(unit, "related_resources"):
            if any(payers.inside(related, kind, "id") == payment for kind in ("sale", "capture")):
                return unit
    return {}


def lines_of_plan(subscription: Object, amount: int, currency: str) -> tuple[Line, ...]:
    """The dues and the set-up fee in a payment of a subscription; none where its plan is not known.

    PayPal takes the fee as a sale of its own beside that of the first cycle, and the sale does not say so. So an
    amount that is the fee, or the fee and a cycle's price, and no cycle's price, has the fee in it.
    """
    plan = payers.inside(subscription, "plan")
    if not isinstance(plan, dict):
        return ()
    quantity = _count(subscription.get("quantity"))
    fee = _price(payers.inside(plan, "payment_preferences", "setup_fee"), currency)
    cycles = objects(plan, "billing_cycles")
    prices = {quantity * _price(payers.inside(cycle, "pricing_scheme", "fixed_price"), currency) for cycle in cycles}
    has_fee = fee and amount not in prices and amount - fee in {0, *prices}
    rest = amount - fee if has_fee else amount
    named = (subscription.get("id"), subscription.get("plan_id"), plan.get("product_id"))
    dues = Line(tuple(str(each) for each in named if strict.is_name(each)), rest, quantity=quantity)
    return (*([dues] if rest else ()), *([Line((SETUP_FEE,), fee)] if has_fee else ()))


def lines_of_order(unit: Object, billing: tuple[str, ...], currency: str) -> tuple[Line, ...]:
    """The items of an order, each by the order's own references and its stock keeping unit."""
    lines = []
    for item in (*objects(unit, "items"), *objects(unit.get("item_list"), "items")):
        quantity, price = _count(item.get("quantity")), item.get("unit_amount")
        amount = _price(price or {"total": item.get("price"), "currency": item.get("currency")}, currency)
        named = (*billing, *(str(sku) for sku in [item.get("sku")] if strict.is_name(sku)))
        if amount:
            lines.append(Line(named, amount * quantity, quantity=quantity))
    return tuple(lines)


def before_discount(unit: Object, amount: int, currency: str) -> int | None:
    """What the order came to before its discount; None where it has none, or the payment is not of all of it."""
    discount = _price(payers.inside(unit, "amount", "breakdown", "discount"), currency)
    return amount + discount if discount and _price(unit.get("amount"), currency) == amount else None


def refunds_in(order: Object, payment: str) -> list[Object]:
    """A payment's refunds out of its order (version 2) or its parent payment (version 1)."""
    found = []
    for unit in objects(order, "purchase_units"):
        for refund in objects(unit.get("payments"), "refunds"):
            found += [refund for href in links_of(refund, "up") if href.rpartition("/")[2] == payment]
    for transaction in objects(order, "transactions"):
        for related in objects(transaction, "related_resources"):
            refund = strict.mapping(related, "refund")
            found += [refund] if payment in (refund.get("sale_id"), refund.get("capture_id")) else []
    return found


def objects(holder: object, key: str) -> list[Object]:
    """The objects in the list under `key`; whatever else is there is left out."""
    value = payers.inside(holder, key)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def money(holder: Object, key: str = "amount", *, signed: bool = False) -> tuple[int, str]:
    """The amount in minor units and its currency, as version 1 or 2 of the API has them; `signed` may be negative."""
    value = strict.mapping(holder, key)
    amount, code = ("total", "currency") if "currency" in value else ("value", "currency_code")
    currency, text = strict.currency(value, code), value.get(amount)
    if not isinstance(text, str):
        raise Unusable(f"the amount's {amount} is not a text")
    text = text.removeprefix("-") if signed else text
    return strict.decimal_amount({amount: text}, amount, currency), currency


def _price(value: object, currency: str) -> int:
    """The price in minor units; 0 where it is none, or in another currency."""
    try:
        amount, theirs = money({"price": value}, "price")
    except Unusable:
        return 0
    return amount if theirs == currency else 0


def _count(value: object) -> int:
    """A quantity, which PayPal writes as text; 1 where it is no whole number."""
    text = str(value)
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 8 and 0 < int(text) <= MOST else 1


def state_of(holder: Object) -> str:
    """The `state` of version 1, or the `status` of version 2."""
    return str(holder.get("state") or holder.get("status")).lower()


def links_of(holder: Object, rel: str) -> Iterator[str]:
    """The addresses of an object's links of that relation."""
    links = holder.get("links")
    for link in links if isinstance(links, list) else ():
        if isinstance(link, dict) and link.get("rel") == rel and isinstance(link.get("href"), str):
            yield link["href"]
