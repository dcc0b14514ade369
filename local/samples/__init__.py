"""Sample deliveries of each processor: a payment, and its refund, dispute or late failure.

One file per processor: name of the sample -> its deliveries in order, each with the
`content` that is signed and delivered (an object, or text that is not JSON) and the objects
of the processor's API behind it (`api`: kind and id -> object). In texts, `$name`
stands for a value; a text that consists of `#name` becomes a number, or, as `#content`, the content.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

from models import currencies
from models.errors import NoSuchSample
from models.wording import joined

FOLDER = Path(__file__).parent
NAMES = ("paid", "refunded", "disputed", "late_failure")


class Sample(NamedTuple):
    """One delivery of a sample, unsigned, and the API's objects behind it: (kind, id) -> object."""

    content: bytes
    api: dict[tuple[str, str], Any]


def sample(
    processor: str, name: str, *, reference: str, number: str, now: datetime, amount_minor: int = 8900,
    currency: str = "USD", account: str | None = None, digits: Mapping[str, int] = {},
) -> list[Sample]:  # fmt: skip
    """The deliveries of that sample, a second apart and the last one `now`.

    `reference` is the membership's billing reference; `number` goes into the ids of the payment and its
    events. `digits` are the processor's where it departs from ISO 4217 (`Processor.digits`).
    Raises NoSuchSample where the processor has no such sample.
    """
    samples, iso = _read(processor), currencies.digits(currency)
    if name not in samples:
        raise NoSuchSample(processor=processor, name=name, known=joined(list(samples)))
    deliveries = samples[name]
    made = []
    for place, delivery in enumerate(deliveries):
        at = (now - timedelta(seconds=len(deliveries) - 1 - place)).astimezone(UTC).replace(microsecond=0)
        values = {
            "reference": reference, "number": number, "step": str(place), "account": account or "",
            "amount": f"{Decimal(amount_minor).scaleb(digits.get(currency, iso) - iso):.0f}",
            "decimal": f"{Decimal(amount_minor).scaleb(-iso):f}",
            "currency": currency, "currency_lower": currency.lower(),
            "unix": str(int(at.timestamp())), "iso": at.strftime("%Y-%m-%dT%H:%M:%SZ"), "date": at.strftime("%Y-%m-%d"),
        }  # fmt: skip
        content = _filled(delivery["content"], values)
        objects = _filled(delivery.get("api", {}), values | {"content": json.dumps(content)})
        api = {tuple(key.split("/", 1)): value for key, value in objects.items()}
        made.append(Sample(content.encode() if isinstance(content, str) else json.dumps(content).encode(), api))
    return made


def names(processor: str) -> list[str]:
    """The samples that the processor has."""
    return list(_read(processor))


def _read(processor: str) -> dict[str, Any]:
    file = FOLDER / f"{processor}.json"
    return json.loads(file.read_text()) if file.exists() else {}


def _filled(value: Any, values: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {Template(key).substitute(values): _filled(inner, values) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, values) for inner in value]
    if isinstance(value, str):
        if re.fullmatch("#[a-z]+", value):
            return json.loads(values[value[1:]])
        return Template(value).substitute(values)
    return value
