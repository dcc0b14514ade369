"""GoCardless's deliveries: batches of events."""

import json
from bisect import bisect_left
from decimal import Decimal

import pytest

from tests.webhooks.deliveries import changed
from tests.webhooks.processors.test_gocardless import CONFIRMED, OURS, RECORDED, TEST, of_event, part_of
from webhooks.processors import Ignored, ParsedEvent, Unusable, strict


class TestSplit:
    def test_a_batch(self) -> None:
        parts = TEST.parse(RECORDED["batch"], {})
        assert [(part.event_id, part.type, part.thin) for part in parts] == [
            ("EVGym0021", "payments.submitted", False),
            ("EVGym0022", "payments.confirmed", True),
            ("EVGym0023", "subscriptions.payment_created", False),
        ]
        assert [json.loads(part.body) for part in parts] == json.loads(RECORDED["batch"])["events"]

    def test_in_another_order(self) -> None:
        batch = json.loads(RECORDED["batch"])
        turned = json.dumps({"events": batch["events"][::-1]}).encode()
        assert TEST.parse(turned, {}) == TEST.parse(RECORDED["batch"], {})[::-1]

    @pytest.mark.parametrize("event", [{}, None, [], "EV1", 7, 10**400, True, 1.5, [[[]]], {"id": "EV1"}])
    def test_one_that_cannot_be_read_harms_no_other(self, event: object) -> None:
        batch = json.loads(RECORDED["batch"])
        batch["events"].insert(1, event)
        first, poisonous, *others = TEST.parse(json.dumps(batch).encode(), {})
        assert [first, *others] == TEST.parse(RECORDED["batch"], {})
        assert json.loads(poisonous.body) == event
        assert poisonous.event_id == strict.unreadable(poisonous.body, "").event_id
        assert str(poisonous.quarantine_reason).startswith("unparsable")
        with pytest.raises((Ignored, Unusable)):
            TEST.interpret(poisonous.type, poisonous.body)

    @pytest.mark.parametrize("key", ["id", "resource_type", "action"])
    @pytest.mark.parametrize("value", [None, "", 7, True, ["EV1"], {}, "x" * 256, "a b", "évt", 10**400, ...])
    def test_an_event_without_an_id_or_type(self, key: str, value: object) -> None:
        (part,) = TEST.parse(changed(CONFIRMED, **of_event(**{key: value})), {})
        assert str(part.quarantine_reason).startswith("unparsable")
        assert not part.thin
        (other,) = TEST.parse(changed(CONFIRMED, **of_event(**{key: value, "created_at": "now"})), {})
        assert other.event_id != part.event_id

    def test_a_type_that_is_too_long(self) -> None:
        (part,) = TEST.parse(changed(CONFIRMED, **of_event(resource_type="x" * 200, action="y" * 200)), {})
        assert part.quarantine_reason

    @pytest.mark.parametrize(
        "body", [b"{}", b'{"events": null}', b'{"events": {}}', b'{"events": "x"}', b'{"event": []}']
    )
    def test_without_a_list_of_events(self, body: bytes) -> None:
        (part,) = TEST.parse(body, {})
        assert part == strict.unreadable(body, "unparsable: no list of events")

    def test_a_delivery_without_events(self) -> None:
        (part,) = TEST.parse(RECORDED["no_events"], {})
        assert part.event_id.startswith("sha256:")
        for on in (TEST, OURS):
            with pytest.raises(Ignored, match="without events"):
                on.interpret(part.type, part.body)

    @pytest.mark.parametrize(
        "written",
        [
            *("1.10", "-0.0", "1e400", "1E-7", "12345678901234567890.123456789012345678901234567890", "1" * 30),
            *(r'"a\"\\u0000b\""', r'"\\\\u0000"', '"Zürich \U0001f3cb"', r'"\u2028\n\u0001"', '"0"', "null", "true"),
        ],
    )
    def test_is_kept_digit_for_digit(self, written: str) -> None:
        body = b'{"events": [{"id": "EV1", "resource_type": "x", "action": "y", "z": [' + written.encode() + b"]}]}"
        (part,) = TEST.parse(body, {})
        assert part.quarantine_reason is None
        first, kept = (json.loads(text, parse_float=Decimal) for text in (body, part.body))
        assert kept == first["events"][0]
        assert [str(number) for number in kept["z"]] == [str(number) for number in first["events"][0]["z"]]

    def test_events_as_deep_as_can_be_read(self) -> None:
        def parts(depth: int) -> list[ParsedEvent]:
            deep = CONFIRMED.replace(b'"EVGym0001"', b'"EVGym0001", "x": ' + b"[" * depth + b"]" * depth)
            return TEST.parse(deep, {})

        deepest = bisect_left(range(100_000), True, key=lambda depth: bool(parts(depth)[0].quarantine_reason)) - 1
        assert deepest > 100
        for depth in range(deepest - 20, deepest + 20):
            (part,) = parts(depth)
            assert part.event_id == "EVGym0001" or part.quarantine_reason == "unparsable: nested too deeply"
            assert TEST.same_content(part.body, part.body) in {True, False}


class TestSameContent:
    @pytest.mark.parametrize(
        "changes",
        [
            {"customer_notifications": [], "source": {"type": "app", "name": "x"}},
            {"resource_metadata": ...},
            {"details__description": "In other words"},
        ],
    )
    def test_what_the_list_has_more_or_less_beside_it(self, changes: dict[str, object]) -> None:
        assert TEST.same_content(part_of(CONFIRMED).body, part_of(CONFIRMED, **changes).body)

    @pytest.mark.parametrize(
        "changes", [{"links__organisation": "OR1"}, {"links__payment": "PM2"}, {"action": "failed"}]
    )
    def test_what_counts(self, changes: dict[str, object]) -> None:
        assert not TEST.same_content(part_of(CONFIRMED).body, part_of(CONFIRMED, **changes).body)
