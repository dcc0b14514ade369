"""Adyen's deliveries: one JSON object around items, each signed by itself."""

import json
from typing import Any

from webhooks.processors.base import Object

ITEMS, ITEM = "notificationItems", "NotificationRequestItem"


def read(body: bytes) -> Object | None:
    """The JSON object in `body`, read leniently.

    Unsigned values may be garbage: the item is authentic, and refusing it would block all behind it.
    """
    try:
        value = json.loads(body.decode(errors="surrogateescape"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def written(value: Object | None) -> bytes | None:
    """The value as JSON; None for one that is nested too deeply."""
    try:
        return json.dumps(value).encode()
    except RecursionError:
        return None


def wrappers(delivery: Object | None) -> list[Any]:
    """The items with their wrappers, as they stand in the delivery."""
    items = delivery.get(ITEMS) if delivery else None
    return items if isinstance(items, list) else []


def item_of(wrapper: Any) -> Object:
    """The item in a wrapper; empty where it is no object."""
    item = wrapper.get(ITEM) if isinstance(wrapper, dict) else None
    return item if isinstance(item, dict) else {}


def only_item(delivery: Object | None) -> Object:
    """The item of a delivery of one; empty for any other."""
    found = wrappers(delivery)
    return item_of(found[0]) if len(found) == 1 else {}


def signed_values(item: Object) -> list[Any]:
    """The values that are signed, in that order, as they stand in the item."""
    amount = item.get("amount")
    value, currency = (amount.get("value"), amount.get("currency")) if isinstance(amount, dict) else (None, None)
    names = ("pspReference", "originalReference", "merchantAccountCode", "merchantReference")
    return [*map(item.get, names), value, currency, item.get("eventCode"), item.get("success")]


def signed_text(item: Object) -> bytes | None:
    """The signed values with colons between, an absent one as an empty text; None where one is not text or number."""
    values = ["" if value is None else value for value in signed_values(item)]
    if not item or not all(type(value) in {str, int} for value in values):
        return None
    try:
        return ":".join(map(str, values)).encode()
    except UnicodeEncodeError:
        return None
