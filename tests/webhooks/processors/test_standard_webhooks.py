from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local import samples
from models.payments.facts import (
    Announced,
    Change,
    Fact,
    Line,
    LineRefunded,
    Linked,
    Noted,
    Paid,
    Replaced,
    Restored,
    Reversed,
)
from runtime.settings import SettingsError
from tests.webhooks.coded import Coded
from tests.webhooks.contract import ProcessorContract
from tests.webhooks.deliveries import NOW, changed, endpoint, received, recorded
from webhooks import signatures
from webhooks.processors import Ignored, Processor, Unusable
from webhooks.processors.events import Payer

KEY = b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
TEST, LIVE = (endpoint("standard_webhooks", KEY.decode(), mode=mode) for mode in ("test", "live"))
RECORDED = recorded("standard_webhooks")
PAID, LINKED = RECORDED["payment_paid"], RECORDED["payment_linked"]
REVERSED, REVERSED_WHOLE = RECORDED["payment_reversed"], RECORDED["payment_reversed_whole"]
RESTORED, NOTED, REPLACED = (RECORDED[name] for name in ("payment_restored", "payment_noted", "reference_replaced"))
SHAPED, LINE_REFUNDED = RECORDED["payment_paid_with_shape"], RECORDED["payment_line_refunded"]
AT = datetime(2026, 11, 1, 9, tzinfo=UTC)


class TestContract(ProcessorContract):
    processor = "standard_webhooks"
    codes = (Coded("payment_paid", "data__code", "sub_0001"),)
    key = KEY
    other_key = b"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
    signature_header = "webhook-signature"
    tolerance_s = 300

    def both_signatures(self, first: dict[str, str], second: dict[str, str]) -> dict[str, str]:
        return first | {"webhook-signature": f"v1a,AA== {first['webhook-signature']} {second['webhook-signature']}"}


def meaning(body: bytes, on: Processor = TEST, **changes: Any) -> list[Fact]:
    body = changed(body, **changes)
    (part,) = TEST.parse(body, received(TEST.sign(body, NOW).headers))
    assert part.quarantine_reason is None
    return on.interpret(part.type, part.body)


class TestPaid:
    def test_dues(self) -> None:
        assert meaning(PAID) == [Paid("pay_0001", AT, 8900, "USD", ("sub_0001", "cus_0001"))]
        assert meaning(PAID, data__purpose=...) == meaning(PAID)

    @pytest.mark.parametrize("purpose", ["fee", "add-on", "", None, ["dues"], {"dues": 1}, "x" * 10_000])
    def test_fees_and_add_ons_are_not_dues(self, purpose: object) -> None:
        with pytest.raises(Ignored, match="not dues") as ignored:
            meaning(PAID, data__purpose=purpose)
        assert len(str(ignored.value)) < 1_000

    def test_zero_amount(self) -> None:
        with pytest.raises(Ignored, match="zero"):
            meaning(PAID, data__amount=0)

    @pytest.mark.parametrize("amount", [89.0, 1e3, "8900", True, -1, None, [1], 10**13, ...])
    def test_what_is_no_amount(self, amount: object) -> None:
        with pytest.raises(Unusable, match="amount"):
            meaning(PAID, data__amount=amount)

    @pytest.mark.parametrize("currency", ["", "US", "USDX", "U5D", 840, None, ...])
    def test_what_is_no_currency(self, currency: object) -> None:
        with pytest.raises(Unusable, match="currency"):
            meaning(PAID, data__currency=currency)

    @pytest.mark.parametrize(("currency", "amount"), [("JPY", 8900), ("KWD", 28500), ("eur", 1)])
    def test_amounts_are_minor_units_whatever_the_exponent(self, currency: str, amount: int) -> None:
        (paid,) = meaning(PAID, data__currency=currency, data__amount=amount)
        assert paid == Paid("pay_0001", AT, amount, currency.upper(), ("sub_0001", "cus_0001"))

    @pytest.mark.parametrize(
        ("references", "kept"),
        [([], ()), (..., ()), (["b", "a", "b"], ("b", "a")), (["sub_0001"], ("sub_0001",))],
    )
    def test_references(self, references: object, kept: tuple[str, ...]) -> None:
        (paid,) = meaning(PAID, data__references=references)
        assert isinstance(paid, Paid)
        assert paid.billing_references == kept

    @pytest.mark.parametrize("references", [None, "sub_0001", {"sub_0001": 1}, [7], [None], ["a b"], [""], ["a\nb"]])
    def test_what_are_no_references(self, references: object) -> None:
        with pytest.raises(Unusable, match="references"):
            meaning(PAID, data__references=references)


NOVEMBER = (datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))


class TestShape:
    WHOLE = Paid(
        "pay_0002", AT, 8400, "USD", ("sub_0001",), ("cus_0001",), NOVEMBER, 9900, 8900,
        (
            Line(("sub_0001", "price_gold"), 8900, NOVEMBER, id="line_1"),
            Line(("price_towel",), 1000, quantity=2),
        ),
        "card",
    )  # fmt: skip

    def test_all_of_it(self) -> None:
        assert meaning(SHAPED) == [self.WHOLE]

    @pytest.mark.parametrize(
        ("key", "field", "empty"),
        [
            ("payer", "payer", ()),
            ("covers", "covers", None),
            ("due", "due_minor", None),
            ("settled", "settled_minor", None),
            ("lines", "lines", ()),
            ("part", "part", ""),
        ],
    )
    def test_each_is_optional(self, key: str, field: str, empty: object) -> None:
        changes: dict[str, Any] = {field: empty}
        for nothing in (..., None)[: 1 + (key != "payer")]:
            assert meaning(SHAPED, **{f"data__{key}": nothing}) == [replace(self.WHOLE, **changes)]

    @pytest.mark.parametrize(
        ("path", "values"),
        [
            ("payer", [None, "cus_1", [7], ["a b"]]),
            ("covers", ["2026-11-01", [1, 2], {"start": "2026-11-01T00:00:00Z"}, {"start": 1, "end": 2}]),
            ("due", [99.0, "9900", -1, True, 10**13]),
            ("settled", [99.0, "9900", -1, True, 10**13]),
            ("part", [7, "a b", ["x"]]),
            ("lines", [7, {}, "x", [7], [{}], [{"amount": "8900"}]]),
            ("lines__0__amount", [89.0, None, True, 10**13, ...]),
            ("lines__0__quantity", [0, -1, 1.5, "1", None, True, 10**7]),
            ("lines__0__proration", [0, 1, "yes", None]),
            ("lines__0__references", ["sub_1", [7]]),
            ("lines__0__covers", [7, {"end": "2026-11-01T00:00:00Z"}]),
            ("lines__0__id", [7, "a b"]),
        ],
    )
    def test_what_is_of_another_type(self, path: str, values: list[object]) -> None:
        for value in values:
            with pytest.raises(Unusable):
                meaning(SHAPED, **{f"data__{path}": value})

    def test_unused_time_that_is_given_back(self) -> None:
        (paid,) = meaning(SHAPED, data__lines__0__amount=-1300, data__lines__0__proration=True)
        assert isinstance(paid, Paid)
        assert (paid.lines[0].amount_minor, paid.lines[0].proration) == (-1300, True)

    def test_paid_from_a_balance_alone(self) -> None:
        (paid,) = meaning(SHAPED, data__amount=0)
        assert isinstance(paid, Paid)
        assert (paid.amount_minor, paid.settled) == (0, 8900)
        for settled in (0, None):
            with pytest.raises(Ignored, match="zero amount"):
                meaning(SHAPED, data__amount=0, data__settled=settled)

    def test_a_period_that_makes_no_sense_is_passed_on(self) -> None:
        start, end = NOVEMBER
        backwards = {"start": end.isoformat(), "end": start.isoformat()}
        assert meaning(SHAPED, data__covers=backwards) == [replace(self.WHOLE, covers=(end, start))]

    def test_who_paid_is_for_staff_alone(self) -> None:
        assert TEST.payer_details("payment.paid", SHAPED) == Payer("Zoe Example", "zoe@example.com", "November")
        for nothing in (PAID, b"", b"[]", b'{"data": [7]}', b'{"data": {"name": 7}}'):
            assert TEST.payer_details("payment.paid", nothing) is None


class TestTheOthers:
    def test_a_line_refunded(self) -> None:
        assert meaning(LINE_REFUNDED) == [LineRefunded("pay_0002", AT, "refund_0002", "line_1", 3000, "USD")]

    def test_a_reference_replaced(self) -> None:
        assert meaning(REPLACED) == [Replaced("sub_0001", AT, "sub_0002")]

    def test_noted(self) -> None:
        assert meaning(NOTED) == [Noted("pay_0001", AT, "The bank asks for a copy of the contract.")]
        for what in (None, "", 7, "two\nlines", "x" * 301, ...):
            with pytest.raises(Unusable, match="what is not a sentence"):
                meaning(NOTED, data__what=what)

    def test_reversed(self) -> None:
        assert meaning(REVERSED) == [Reversed("pay_0001", AT, "cause:refund_0001", 3000, "USD")]

    def test_reversed_whole(self) -> None:
        assert meaning(REVERSED_WHOLE) == [Reversed("pay_0001", AT, "cause:chargeback_0001")]

    def test_restored(self) -> None:
        assert meaning(RESTORED) == [Restored("pay_0001", AT, "cause:refund_0001")]
        assert meaning(RESTORED, data__amount=3000, data__currency="usd") == [
            Restored("pay_0001", AT, "cause:refund_0001", 3000, "USD")
        ]

    def test_linked(self) -> None:
        assert meaning(LINKED) == [Linked("pay_0001", AT, "bank_0001")]

    @pytest.mark.parametrize("amount", [30.0, "3000", True, -3000, None])
    def test_what_is_no_amount(self, amount: object) -> None:
        for body in (REVERSED, RESTORED):
            with pytest.raises(Unusable, match="amount"):
                meaning(body, data__amount=amount)

    def test_an_amount_needs_its_currency(self) -> None:
        with pytest.raises(Unusable, match="currency"):
            meaning(REVERSED, data__currency=...)

    @pytest.mark.parametrize(
        ("body", "key"),
        [
            (PAID, "payment"),
            (REVERSED, "payment"),
            (RESTORED, "payment"),
            (LINKED, "payment"),
            (REVERSED, "cause"),
            (RESTORED, "cause"),
            (LINKED, "other"),
            (REPLACED, "payment"),
            (REPLACED, "other"),
            (LINE_REFUNDED, "cause"),
            (LINE_REFUNDED, "line"),
        ],
    )
    @pytest.mark.parametrize("value", [None, "", "a b", "x" * 256, 7, ["a"], ...])
    def test_what_is_no_identifier(self, body: bytes, key: str, value: object) -> None:
        with pytest.raises(Unusable, match=key):
            meaning(body, **{f"data__{key}": value})


@pytest.mark.parametrize("body", [PAID, REVERSED, RESTORED, LINKED, SHAPED, LINE_REFUNDED, NOTED, REPLACED])
class TestAll:
    @pytest.mark.parametrize(
        "timestamp",
        [
            None,
            "",
            "yesterday",
            1793523600,
            "2026-11-01",
            "2026-11-01T09:00:00",
            "2026-13-01T09:00:00Z",
            "0001-01-01T00:00:00+14:00",
            ["2026-11-01T09:00:00Z"],
            ...,
        ],
    )
    def test_what_is_no_time(self, body: bytes, timestamp: object) -> None:
        with pytest.raises(Unusable, match="timestamp"):
            meaning(body, timestamp=timestamp)

    @pytest.mark.parametrize("timestamp", ["2026-11-01T09:00:00+00:00", "2026-11-01T10:00:00.000+01:00"])
    def test_an_offset_is_reckoned_with(self, body: bytes, timestamp: str) -> None:
        assert meaning(body, timestamp=timestamp)[0].occurred_at == AT

    @pytest.mark.parametrize("data", [None, "text", 7, [], {}, ...])
    def test_without_data(self, body: bytes, data: object) -> None:
        with pytest.raises(Unusable):
            meaning(body, data=data)

    def test_mode(self, body: bytes) -> None:
        assert meaning(body, data__mode="test") == meaning(body, LIVE, data__mode="live")
        for on, mode in ((TEST, "live"), (LIVE, "test"), (TEST, "TEST"), (TEST, True)):
            with pytest.raises(Unusable, match="mode"):
                meaning(body, on, data__mode=mode)

    def test_account(self, body: bytes) -> None:
        ours = endpoint("standard_webhooks", KEY.decode(), account="gym_1")
        assert meaning(body, ours, data__account="gym_1") == meaning(body, ours, data__account=None) == meaning(body)
        for on, account in ((ours, "gym_2"), (ours, 7), (TEST, "gym_1")):
            with pytest.raises(Unusable, match="account"):
                meaning(body, on, data__account=account)


@pytest.mark.parametrize("type", ["payment", "PAYMENT.PAID", "invoice.paid"])
def test_types_without_effect(type: str) -> None:
    with pytest.raises(Ignored, match="nothing about dues"):
        meaning(PAID, type=type)


class TestSplit:
    def test_the_event_is_its_signed_id(self) -> None:
        for name in ("webhook-id", "svix-id"):
            assert TEST.parse(PAID, received({name: "msg_1"})) == [("msg_1", "payment.paid", PAID, None, None, False)]

    @pytest.mark.parametrize("value", [None, "", 7, [], "x" * 256, "a b", "\x00", ...])
    def test_a_body_without_a_type_is_kept_under_its_id(self, value: object) -> None:
        body = changed(PAID, type=value)
        (part,) = TEST.parse(body, received({"webhook-id": "msg_1"}))
        assert part == ("msg_1", "unparsable", body, None, "unparsable: no JSON object with a type", False)

    @pytest.mark.parametrize("id", ["", " ", "a b", "x" * 256, "é"])
    def test_an_id_that_is_none(self, id: str) -> None:
        (part,) = TEST.parse(PAID, received({"webhook-id": id}))
        assert part.event_id.startswith("sha256:")
        assert part.quarantine_reason


def test_spacing_and_the_order_of_keys_are_no_other_content() -> None:
    again = b'{"timestamp": "2026-11-01T09:00:00Z",   "data": {"payment":"pay_0001","other":"bank_0001"}, '
    assert TEST.same_content(LINKED, again + b'"type": "payment.linked"}')
    assert not TEST.same_content(LINKED, again + b'"type": "payment.unlinked"}')


@pytest.mark.parametrize(
    ("name", "reversed_"),
    [
        ("paid", []),
        ("refunded", [Reversed("pay_7", AT, "cause:refund_7", 8900, "USD")]),
        ("disputed", [Reversed("pay_7", AT, "cause:dispute_7")]),
        ("late_failure", [Reversed("pay_7", AT, "cause:failure_7")]),
    ],
)
@pytest.mark.parametrize("account", [None, "gym_1"])
def test_samples(name: str, reversed_: list[Fact], account: str | None) -> None:
    on = endpoint("standard_webhooks", KEY.decode(), account=account)
    facts: list[Fact] = []
    for content, _ in samples.sample("standard_webhooks", name, reference="sub_1", number="7", now=AT, account=account):
        delivery = on.sign(content, NOW)
        assert on.verify(delivery.body, received(delivery.headers), NOW) is None
        (part,) = on.parse(delivery.body, received(delivery.headers))
        facts += on.interpret(part.type, part.body)
    paid_at = AT - timedelta(seconds=len(reversed_))
    assert facts == [Paid("pay_7", paid_at, 8900, "USD", ("sub_1",)), *reversed_]


class TestHeaders:
    """What is this scheme's own about it; the contract has the rest."""

    GOOD = signatures.sign_standard_webhooks(PAID, KEY, NOW, "msg_1")

    def verdict(self, headers: dict[str, str], *keys: bytes) -> signatures.Verdict:
        return signatures.standard_webhooks(PAID, received(headers), keys or [KEY], NOW)

    def test_svix_prefix(self) -> None:
        svix = {name.replace("webhook", "svix"): value for name, value in self.GOOD.items()}
        assert self.verdict(svix) is None
        mixed = {**svix, "webhook-id": "msg_2"}
        assert self.verdict(mixed) is not None

    def test_only_v1_counts(self) -> None:
        for version in ("v1a", "v2", "V1", "", "v1,v1"):
            header = self.GOOD["webhook-signature"].replace("v1,", f"{version},")
            assert self.verdict(self.GOOD | {"webhook-signature": header}) is not None

    @pytest.mark.parametrize("time", ["0{}", "+{}", "{} ", "{}.0", "1_7", "-{}", "٣", "9" * 5_000])
    def test_what_is_no_timestamp(self, time: str) -> None:
        timestamp = time.format(NOW)
        assert self.verdict(self.GOOD | {"webhook-timestamp": timestamp}) is not None

    @pytest.mark.parametrize("key", [b"", b"whsec_", b"whsec_not base64!", b"whsec_\xff", b"=", b"whsec_MfK"])
    def test_a_key_that_is_no_key_opens_nothing(self, key: bytes) -> None:
        empty = signatures.sign_standard_webhooks(PAID, b"whsec_", NOW, "msg_1")
        assert self.verdict(empty, key) is not None
        assert self.verdict(self.GOOD, key) is not None
        assert self.verdict(self.GOOD, key, KEY) is None

    @pytest.mark.parametrize("key", ["whsec_", "whsec_not-base64!", "="])
    def test_a_key_that_is_no_key_does_not_start(self, key: str) -> None:
        with pytest.raises(SettingsError, match=r"'standard-webhooks': a secret is not whsec_ and base64"):
            endpoint("standard_webhooks", key)

    def test_the_prefix_of_a_key_does_not_matter(self) -> None:
        assert self.verdict(self.GOOD, KEY.removeprefix(b"whsec_")) is None

    def test_a_header_stuffed_with_signatures(self) -> None:
        good, wrong = self.GOOD["webhook-signature"], " v1," + "A" * 43 + "="
        assert self.verdict(self.GOOD | {"webhook-signature": good + wrong * 1_000}) is None
        assert self.verdict(self.GOOD | {"webhook-signature": wrong * 1_000}) is not None


class TestAnnounced:
    def test_what_becomes_of_a_subscription(self) -> None:
        told, ended = datetime(2026, 11, 5, 9, tzinfo=UTC), RECORDED["subscription_ended"]
        ends = datetime(2027, 1, 31, 18, tzinfo=UTC)
        assert meaning(ended) == [Announced("sub_0001", told, Change.ENDS, ends)]
        assert meaning(ended, data__at=...) == [Announced("sub_0001", told, Change.ENDS, told)]
        for what in (Change.GOES_ON, Change.PAUSED, Change.RESUMED):
            assert meaning(ended, type=f"subscription.{what}") == [Announced("sub_0001", told, what)]
        with pytest.raises(Unusable, match="year 9999"):
            meaning(ended, data__at="9999-12-31T23:00:00Z")
