"""Shapes of dues that gyms meet, delivered as processors do, and what a member has of them in the end.

A story is a file in tests/payloads/stories: the billing references that a member signs up with, and the steps: a
delivery, or what the processor's API answers from then on. Dues are $89.00 a month for 8 classes and 4 personal
trainings. Each story gives sessions, stands before staff with a reason, or both; none is passed over.
"""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from local import endpoints, sample_gym
from local.api_objects import Objects
from models.audit.checks import audit
from models.payments import settlement
from tests.worker.every_processor import Gym
from tests.worker.scene import NOW, PICKS, due_now, rows
from webhooks.processors import adapter

STORIES = Path(__file__).parents[1] / "payloads" / "stories"
_numbers = count(1)

GIVES: dict[str, tuple[tuple[int, int], set[str]]] = {
    "adyen-gift-card-and-card": ((8, 4), set()),
    "adyen-second-chargeback-same-second": ((0, 0), set()),
    "adyen-two-captures-first-refunded": ((5, 3), set()),
    "adyen-two-captures-second-refunded": ((4, 2), set()),
    "authorize_net-first-dues-as-a-plain-sale": ((8, 4), set()),
    "braintree-one-charge-for-two-months": ((8, 4), {"more"}),
    "braintree-other-subscription": ((0, 0), {"unmatched"}),
    "gocardless-mandate-replaced": ((16, 8), set()),
    "paypal-custom-id-is-the-code": ((8, 4), set()),
    "paypal-another-business": ((0, 0), {"unmatched"}),
    "paypal-capture-partially-reversed": ((8, 4), {"noted"}),
    "paypal-joining-fee": ((8, 4), {"extra"}),
    "paypal-refund-less-fee": ((0, 0), set()),
    "paypal-sale-still-pending": ((8, 4), set()),
    "paypal-two-partial-reversals": ((4, 2), set()),
    "square-link-paid": ((16, 8), set()),
    "square-other-subscription": ((0, 0), {"unmatched"}),
    "stripe-cash-given-back": ((0, 0), {"outside"}),
    "stripe-customer-balance-pays-all": ((8, 4), {"balance"}),
    "stripe-dues-refunded-locker-kept": ((3, 2), {"unplaced"}),
    "stripe-edited-link": ((0, 0), {"unmatched", "claim"}),
    "stripe-locker-refunded": ((8, 4), {"unplaced", "not_dues_refund"}),
    "stripe-month-to-year": ((8, 4), {"less"}),
    "stripe-old-api-first-invoice": ((8, 4), set()),
    "stripe-old-api-reason-subscription": ((8, 4), set()),
    "stripe-other-subscription": ((8, 4), {"unmatched"}),
    "stripe-other-subscriptions-line-first": ((8, 4), {"unplaced"}),
    "stripe-payment-link-with-code": ((8, 4), set()),
    "stripe-price-up": ((8, 4), {"more"}),
    "stripe-prorated-first-period": ((1, 1), {"part"}),
    "stripe-quantity-two": ((8, 4), {"more"}),
    "stripe-refund-in-another-currency": ((8, 4), {"noted"}),
    "stripe-refund-of-card-part": ((8, 4), {"balance"}),
    "stripe-two-subscriptions-one-code": ((8, 4), {"unmatched", "claim"}),
}
"""Story -> classes and personal trainings that are usable, and the reasons for which its payments stand in review."""
QUARANTINED = {"stripe-refund-in-another-currency": 1}
"""Story -> how many of its events stand in quarantine; none where what they contradict was not known yet."""


def filled(value: object, number: str, code: str = "") -> Any:
    """The value with the story's number and its membership's code, and with times from `NOW` on."""

    def moment(seconds: str) -> datetime:
        return NOW + timedelta(seconds=int(seconds) - 60)

    text = json.dumps(value).replace("RUN", number).replace("CODE", code)
    text = re.sub(r'"@unix:(-?\d+)"', lambda found: str(int(moment(found[1]).timestamp())), text)
    text = re.sub(r"@iso:(-?\d+)@", lambda found: f"{moment(found[1]):%Y-%m-%dT%H:%M:%SZ}", text)
    return json.loads(re.sub(r"@date:(-?\d+)@", lambda found: f"{moment(found[1]):%Y-%m-%d}", text))


def manual_capture(gym: Gym) -> Gym:
    """The same, with Adyen's captures told one by one."""
    own = [
        one.model_copy(update={"options": {**one.options, "capture": "manual"}}) if one.processor == "adyen" else one
        for one in gym.settings.endpoints
    ]
    processors = {one.processor: adapter(one) for one in own}
    return replace(gym, settings=gym.settings.model_copy(update={"endpoints": tuple(own)}), processors=processors)


def backwards(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The deliveries from the last to the first, each twice; the API knows from the first how it ends."""
    known = [step for step in steps if "api_now_tells" in step]
    return known + [step for step in reversed(steps) if "api_now_tells" not in step for _ in range(2)]


@pytest.mark.parametrize("name", sorted(path.stem for path in STORIES.glob("*.json")))
@pytest.mark.parametrize("order", [list, backwards], ids=["in order", "backwards"])
def test_a_story_gives_what_it_must(gym: Gym, name: str, order: Callable[[list[Any]], list[Any]]) -> None:
    story, number = json.loads((STORIES / f"{name}.json").read_text()), f"{next(_numbers):06}"
    played = manual_capture(gym) if story["capture"] == "manual" else gym
    references = [tuple(filled(one, number).split(":", 1)) for one in story["billing_references"]]
    with gym.make.begin() as session:
        code = sample_gym.join(session, f"{number}@example.com", "Ada", PICKS, references).code
    before = rows(gym.make, "SELECT coalesce(max(id), 0) FROM webhook_events")[0][0]
    times, processor = count(), ""
    for step in order(filled(story["steps"], number, code)):
        if tells := step.get("api_now_tells"):
            Objects(gym.folder / "standin" / tells["processor"]).put(tells["kind"], tells["id"], tells["object"])
        else:
            processor, body = endpoints.ENDPOINTS[step["deliver"]["endpoint"]], step["deliver"]["body"]
            content = body if isinstance(body, str) else json.dumps(body)
            played.deliver(processor, [content.encode()], times)
        due_now(gym.make)
        played.work(processor or next(iter(played.processors)))
        settle_again(gym)
    given = played.balances(number)
    classes, training = (given.get(item, (0, 0)) for item in (PICKS[1], PICKS[0]))
    sessions, reasons = GIVES[name]
    assert (classes, training) == ((sessions[0], 0), (sessions[1], 0))
    assert {reason for (reason,) in rows(gym.make, _REVIEWED, before=before)} == reasons
    in_quarantine = "SELECT 1 FROM webhook_events WHERE state = 'quarantined' AND id > :before"
    quarantined = len(rows(gym.make, in_quarantine, before=before))
    assert quarantined == (QUARANTINED.get(name, 0) if order is list else 0)
    assert not rows(gym.make, "SELECT type, error FROM webhook_events WHERE state IN ('pending', 'dead')")
    with gym.make() as session:
        assert list(audit(session)) == []


_REVIEWED = """
    SELECT DISTINCT r.reason FROM payment_reviews r
    JOIN payments p ON p.root_id = r.payment_id JOIN payment_facts f ON f.payment_id = p.id
    WHERE r.answered_by IS NULL AND f.event_id > :before
"""


def settle_again(gym: Gym) -> None:
    """What the worker's sweep does."""
    with gym.make.begin() as session:
        settlement.settle_matched(session, now=NOW, late_credit=timedelta(hours=24))


def test_every_story_has_its_outcome() -> None:
    assert sorted(GIVES) == sorted(path.stem for path in STORIES.glob("*.json"))
