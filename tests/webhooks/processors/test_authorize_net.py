import json
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from local import samples
from models.errors import NoSuchSample
from models.payments.facts import Announced, Change, DuesFailed, Fact, Paid, Restored, Reversed
from runtime.settings import SettingsError
from tests.models.payments.entitled import Terms, entitlement
from tests.webhooks.coded import CODE, Coded
from tests.webhooks.contract import ProcessorContract
from tests.webhooks.deliveries import NOW, PAYLOADS, changed, endpoint, received, recorded
from webhooks.processors import Ignored, ParsedEvent, Processor, Unusable
from webhooks.processors.events import Payer
from webhooks.signatures import Invalid

KEY = "52CB4A002C634B84E397DC8A218E1A160BA7CAB7CBE4C05B35E9CBB05E14FE4A" * 2
OTHER_KEY = KEY[::-1]
TEST = endpoint("authorize_net", KEY)
RECORDED = recorded("authorize_net")
DETAILS = {file.stem: file.read_bytes() for file in (PAYLOADS / "authorize_net" / "resources").glob("*.json")}
TYPES = {name: json.loads(body)["eventType"] for name, body in RECORDED.items()}
PAYMENTS = ("authcapture_created", "capture_created", "prior_auth_capture_created", "fraud_approved")
MEMBER = ("4415473",), ("1811467160",)
PROFILE = (), ("1811467160",)


class TestContract(ProcessorContract):
    processor = "authorize_net"
    codes = (
        Coded(
            "authcapture_created", "order", "4415473", {"invoiceNumber": CODE}, fetched=DETAILS["authcapture_created"]
        ),
        Coded("capture_created", "customer", "1811467160", {"id": CODE}, fetched=DETAILS["capture_created"]),
    )
    key = KEY.encode()
    other_key = OTHER_KEY.encode()
    signature_header = "X-ANET-Signature"
    tolerance_s = None

    def resource(self, part: ParsedEvent) -> bytes | None:
        voided_refund = b'"60020980006"' in part.body and part.type == TYPES["void_created_of_refund"]
        if voided_refund:
            return DETAILS["void_created_of_refund"]
        return DETAILS[next(name for name in DETAILS if TYPES[name] == part.type)]


def at(day: int, time: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-{day:02}T{time}+00:00")


def meaning(name: str, on: Processor = TEST, details: dict[str, Any] | None = None, **changes: Any) -> list[Fact]:
    """What the recorded event means, changed, with the recorded details, changed."""
    body = changed(RECORDED[name], **changes) if changes else RECORDED[name]
    (part,) = on.parse(body, {})
    return on.interpret(part.type, part.body, changed(DETAILS[name], **details or {}) if part.thin else None)


class TestMeaning:
    @pytest.mark.parametrize(
        ("name", "fact"),
        [
            ("authcapture_created", Paid("60020980001", at(1, "10:00:10.008009"), 8900, "USD", *MEMBER)),
            ("capture_created", Paid("60020980002", at(1, "10:05:10.547140"), 8900, "USD", *PROFILE)),
            # 100.00 were authorised, 89.00 captured.
            ("prior_auth_capture_created", Paid("60020980003", at(2, "08:00:00.869388"), 8900, "USD", *PROFILE)),
            ("fraud_approved", Paid("60020980004", at(2, "09:30:00.977693"), 8900, "USD", *MEMBER)),
            ("fraud_declined", Reversed("60020980005", at(2, "09:31:00.977693"), "void:60020980005")),
            (
                "refund_created",
                Reversed("60020980001", at(5, "12:00:00.204341"), "refund:60020980006", 3000, "USD"),
            ),
            ("void_created", Reversed("60020980001", at(1, "18:00:00.579540"), "void:60020980001")),
            ("void_created_of_refund", Restored("60020980001", at(5, "18:00:00.579540"), "refund:60020980006")),
        ],
    )
    def test_what_counts(self, name: str, fact: Fact) -> None:
        assert meaning(name) == [fact]

    @pytest.mark.parametrize(
        ("name", "why"),
        [
            ("authorization_created", "authorised only"),
            ("fraud_held", "held for review"),
            ("authcapture_declined", "declined: no money moved"),
            ("unknown_type", "nothing about dues"),
        ],
    )
    def test_what_does_not(self, name: str, why: str) -> None:
        with pytest.raises(Ignored, match=why):
            meaning(name)

    @pytest.mark.parametrize(
        "kind",
        [f"customer.subscription.{word}" for word in ("created", "updated", "expiring")]
        + ["customer.deleted", "payment"],
    )
    def test_other_types(self, kind: str) -> None:
        with pytest.raises(Ignored, match="nothing about dues"):
            meaning("authcapture_created", eventType=f"net.authorize.{kind}")

    @pytest.mark.parametrize("name", DETAILS)
    @pytest.mark.parametrize(
        ("code", "why"),
        [(0, "no approval"), (2, "declined"), (3, "error"), (4, "held"), (5, "5 is"), (10**80, "code 10{59} is")],
    )
    def test_what_was_not_approved_has_no_effect(self, name: str, code: int, why: str) -> None:
        with pytest.raises(Ignored, match=why):
            meaning(name, payload__responseCode=code)

    @pytest.mark.parametrize("code", [None, "1", True, 1.0, [1], ...])
    def test_what_is_no_response_code(self, code: object) -> None:
        with pytest.raises(Unusable, match="responseCode"):
            meaning("authcapture_created", payload__responseCode=code)

    def test_an_authorisation_that_was_held_and_approved_is_not_yet_captured(self) -> None:
        with pytest.raises(Ignored, match="authorised only"):
            meaning("fraud_approved", details={"transactionType": "authOnlyTransaction"})

    @pytest.mark.parametrize(
        ("subscription", "profile", "customer", "named"),
        [
            ({"id": 4415473}, {"customerProfileId": 7}, {"id": "m-1"}, (("4415473",), ("7",))),
            ({"id": "4415473"}, None, {"id": "m-1"}, (("4415473",), ())),
            (None, {"customerProfileId": "7"}, {"id": "m-1"}, ((), ("7",))),
            ({"id": 7}, {"customerProfileId": "7"}, None, (("7",), ("7",))),
            ({"payNum": 1}, {"customerProfileId": "7"}, None, ((), ("7",))),
            (None, None, {"id": "m-1", "email": "x@example.com"}, ((), ("m-1",))),
        ],
    )
    def test_whose_it_is(self, subscription: object, profile: object, customer: object, named: object) -> None:
        for name in PAYMENTS:
            details = {"subscription": subscription, "profile": profile, "customer": customer}
            (paid,) = meaning(name, details=details)
            assert isinstance(paid, Paid)
            assert (paid.billing_references, paid.payer) == named

    @pytest.mark.parametrize("nothing", [..., None, {}])
    @pytest.mark.parametrize(
        "customer", [None, {}, {"id": ""}, {"id": "Zoë Doe"}, {"id": 7}, {"email": "x@example.com"}]
    )
    def test_a_sale_to_nobody_who_is_known_is_no_dues(self, nothing: object, customer: object) -> None:
        details = {"subscription": nothing, "profile": nothing, "customer": customer}
        with pytest.raises(Ignored, match="names nobody"):
            meaning("authcapture_created", details=details)

    @pytest.mark.parametrize("what", ["subscription", "profile"])
    @pytest.mark.parametrize("value", ["text", 7, [1], True])
    def test_what_is_no_member(self, what: str, value: object) -> None:
        with pytest.raises(Unusable, match=what):
            meaning("authcapture_created", details={what: value})
        key = {"subscription": "id", "profile": "customerProfileId"}[what]
        for strange in ("a b", True, 1.5, 10**300, [7]):
            with pytest.raises(Unusable, match=key):
                meaning("authcapture_created", details={what: {key: strange}})

    @pytest.mark.parametrize("payment", [..., None, "", "0"])
    def test_a_refund_that_names_no_payment(self, payment: object) -> None:
        for name in ("refund_created", "void_created_of_refund"):
            with pytest.raises(Unusable, match="names no payment"):
                meaning(name, details={"refTransId": payment})

    def test_other_details_than_the_transactions(self) -> None:
        for name in DETAILS:
            for other in ("60020980099", 60020980001, None, ...):
                with pytest.raises(Unusable, match="not this transaction's"):
                    meaning(name, details={"transId": other})
            with pytest.raises(Unusable, match="not this transaction's"):
                TEST.interpret(TYPES[name], RECORDED[name])

    @pytest.mark.parametrize("id", [None, "", "6 0", 60020980001, "x" * 256, ["1"], "0", ...])
    def test_what_is_no_transaction(self, id: object) -> None:
        for name in (*DETAILS, "fraud_declined"):
            with pytest.raises(Unusable, match=r"\bid\b"):
                meaning(name, payload__id=id)

    @pytest.mark.parametrize("time", [None, "", "2026-11-01T10:00:10", "2026-11-01", 1793527205, "x", "9" * 5000, ...])
    def test_what_is_no_time(self, time: object) -> None:
        for name in (*DETAILS, "fraud_declined"):
            with pytest.raises(Unusable, match="eventDate"):
                meaning(name, eventDate=time)


class TestAmount:
    @pytest.mark.parametrize("name", ["authcapture_created", "fraud_approved", "refund_created"])
    @pytest.mark.parametrize("amount", ["1e3", -89.0, True, None, [89], "89,00", 89.005, 10**13, "", ...])
    def test_what_is_no_amount(self, name: str, amount: object) -> None:
        with pytest.raises(Unusable, match="authAmount"):
            meaning(name, payload__authAmount=amount)

    @pytest.mark.parametrize(("amount", "minor"), [(89, 8900), (89.1, 8910), ("89.10", 8910), (0.01, 1)])
    def test_in_the_major_unit(self, amount: object, minor: int) -> None:
        (paid,) = meaning("authcapture_created", payload__authAmount=amount)
        assert isinstance(paid, Paid)
        assert paid.amount_minor == minor

    @pytest.mark.parametrize("zero", [0, 0.0, "0.00"])
    def test_zero(self, zero: object) -> None:
        for name in PAYMENTS:
            with pytest.raises(Ignored, match="zero amount"):
                meaning(name, payload__authAmount=zero, details={"settleAmount": zero})

    @pytest.mark.parametrize("settled", ["0.00", 0, 0.0, ...])
    def test_captured_and_voided_before_it_was_fetched(self, settled: object) -> None:
        (paid,) = meaning("prior_auth_capture_created", details={"settleAmount": settled})
        assert isinstance(paid, Paid)
        assert paid.amount_minor == 10_000

    @pytest.mark.parametrize("settled", ["1e3", -89, True, None, "x"])
    def test_what_is_no_captured_amount(self, settled: object) -> None:
        with pytest.raises(Unusable, match="settleAmount"):
            meaning("prior_auth_capture_created", details={"settleAmount": settled})

    @pytest.mark.parametrize(("currency", "minor"), [("CAD", 8900), ("JPY", 89), ("KWD", 89000)])
    def test_in_the_endpoints_currency(self, currency: str, minor: int) -> None:
        (paid,) = meaning("authcapture_created", endpoint("authorize_net", KEY, currency=currency))
        assert isinstance(paid, Paid)
        assert (paid.amount_minor, paid.currency) == (minor, currency)


class TestWhenItIsFetched:
    """The meaning is the same whenever the details were fetched, and in whatever order the events come."""

    @pytest.mark.parametrize("status", ["settledSuccessfully", "voided", "returnedItem", "chargeback", "declined"])
    def test_the_status_does_not_matter(self, status: str) -> None:
        for name in DETAILS:
            assert meaning(name, details={"transactionStatus": status}) == meaning(name)

    def test_a_payment_that_was_voided_or_refunded_since(self) -> None:
        assert meaning("authcapture_created", details={"settleAmount": 0}) == meaning("authcapture_created")

    @pytest.mark.parametrize(
        ("names", "reversed_"),
        [
            (["authcapture_created", "void_created"], 8),
            (["authcapture_created", "refund_created"], 2),
            (["authcapture_created", "refund_created", "void_created_of_refund"], 0),
            (["authcapture_created", "refund_created", "void_created"], 8),
        ],
    )
    def test_what_it_comes_to_in_whatever_order(self, names: list[str], reversed_: int) -> None:
        for told in permutations([*names, names[-1]]):
            (owed,) = entitlement([fact for name in told for fact in meaning(name)], [Terms(1, 8, 0)])
            assert owed.reversed == reversed_

    def test_an_approval_told_after_the_payment_is_the_same_payment(self) -> None:
        approved = meaning("fraud_approved", payload__id="60020980001", details={"transId": "60020980001"})
        (owed,) = entitlement(meaning("authcapture_created") + approved, [Terms(1, 8, 0)])
        assert (owed.quantity, owed.reversed) == (8, 0)


CHARGEBACK, CHARGED_IN_PLACE = "chargeback:60020980001 of 60020980000", "chargeback:60020980001 of 60020980001"


class TestSplit:
    def test_an_event(self) -> None:
        for name, body in RECORDED.items():
            event = json.loads(body)
            assert TEST.parse(body, {}) == [
                ParsedEvent(event["notificationId"], event["eventType"], body, thin=name in DETAILS)
            ]

    def test_only_what_counts_is_fetched(self) -> None:
        for code in (0, 2, 3, 4, None, "1"):
            assert not TEST.parse(changed(RECORDED["authcapture_created"], payload__responseCode=code), {})[0].thin
        payloads: list[object] = [None, [], "text", 1]
        for payload in payloads:
            assert not TEST.parse(changed(RECORDED["authcapture_created"], payload=payload), {})[0].thin

    @pytest.mark.parametrize("key", ["notificationId", "eventType"])
    @pytest.mark.parametrize("value", [None, "", 7, ["x"], "x" * 256, "a b", ...])
    def test_without_an_id_or_type_it_is_in_quarantine(self, key: str, value: object) -> None:
        (part,) = TEST.parse(changed(RECORDED["authcapture_created"], **{key: value}), {})
        assert part.event_id.startswith("sha256:")
        assert part.quarantine_reason
        assert not part.thin


class TestHeader:
    """What is Authorize.Net's own about it; the contract has the rest."""

    BODY = RECORDED["authcapture_created"]
    GOOD = TEST.sign(BODY, NOW).headers["X-ANET-Signature"]

    def verdict(self, header: str) -> Invalid | None:
        return TEST.verify(self.BODY, received({"X-ANET-Signature": header}), NOW)

    def test_digits_in_whatever_case(self) -> None:
        assert self.GOOD.endswith(self.GOOD[7:].upper())
        for header in (self.GOOD, self.GOOD.lower(), "sha512=" + self.GOOD[7:].swapcase()):
            assert self.verdict(header) is None

    @pytest.mark.parametrize("prefix", ["", "sha512", "sha256=", "sha512==", " sha512=", "SHA512=", "sha512= ", "="])
    def test_only_sha512(self, prefix: str) -> None:
        assert self.verdict(prefix + self.GOOD.removeprefix("sha512=")) is not None

    def test_more_or_less_than_a_signature(self) -> None:
        for header in (self.GOOD + "0", self.GOOD + "\n", self.GOOD + " ", self.GOOD[:-1], self.GOOD * 2):
            assert TEST.verify(self.BODY, {"x-anet-signature": header}, NOW) is not None


class TestSettings:
    @pytest.mark.parametrize("secret", ["", "whsec_test", KEY[:-1], KEY + "0", KEY[:-1] + "G", KEY[:-1] + "é"])
    def test_what_is_no_signature_key(self, secret: str) -> None:
        for secrets in ([secret], [KEY, secret]):
            with pytest.raises(SettingsError, match="128 hexadecimal digits"):
                endpoint("authorize_net", *secrets)

    def test_a_key_is_taken_as_it_is_written(self) -> None:
        body = RECORDED["unknown_type"]
        delivery = endpoint("authorize_net", KEY.lower()).sign(body, NOW)
        assert TEST.verify(body, received(delivery.headers), NOW) is not None

    @pytest.mark.parametrize("currency", ["usd", "US", "USDD", "840", "", "ÜSD"])
    def test_what_is_no_currency(self, currency: str) -> None:
        with pytest.raises(SettingsError, match="ISO 4217"):
            endpoint("authorize_net", KEY, currency=currency)

    @pytest.mark.parametrize("api", ["api.authorize.net", "ftp://x", "https://", ""])
    def test_what_is_no_address(self, api: str) -> None:
        with pytest.raises(SettingsError, match="api="):
            endpoint("authorize_net", KEY, api=api)

    def test_an_account(self) -> None:
        with pytest.raises(SettingsError, match="leave out account"):
            endpoint("authorize_net", KEY, account="login_1")


TOLD_AT = datetime(2026, 11, 1, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "reversals"),
    [
        ("paid", []),
        ("refunded", [Reversed("600207", TOLD_AT, "refund:700207", 8900, "USD")]),
        ("late_failure", [Reversed("600207", TOLD_AT, "void:600207")]),
    ],
)
def test_samples(name: str, reversals: list[Fact]) -> None:
    facts: list[Fact] = []
    ids = []
    for content, api in samples.sample("authorize_net", name, reference="sub_1", number="7", now=TOLD_AT):
        delivery = TEST.sign(content, NOW)
        assert TEST.verify(delivery.body, received(delivery.headers), NOW) is None
        (part,) = TEST.parse(delivery.body, received(delivery.headers))
        assert part.thin
        ids.append(part.event_id)
        ((_, details),) = api.items()
        facts += TEST.interpret(part.type, part.body, json.dumps(details).encode())
    assert len(set(ids)) == len(ids)
    paid_at = TOLD_AT - timedelta(seconds=len(reversals))
    assert facts == [Paid("600207", paid_at, 8900, "USD", ("sub_1",), ("18117",)), *reversals]
    (owed,) = entitlement(facts, [Terms(1, 8, 0)])
    assert owed.reversed == (8 if reversals else 0)


class TestPayer:
    BODY = changed(RECORDED["authcapture_created"], payload__invoiceNumber="INV-1")

    @pytest.mark.parametrize(
        ("details", "payer"),
        [
            (
                {"customer": {"email": "x@example.com"}, "order": {"description": "Dues"}},
                Payer(None, "x@example.com", "Dues"),
            ),
            ({"customer": {}, "order": {"invoiceNumber": "SUB-77"}}, Payer(description="SUB-77")),
            ({"customer": "text", "order": [1]}, Payer(description="INV-1")),
            (None, Payer(description="INV-1")),
        ],
    )
    def test_as_staff_see_it(self, details: Any, payer: Payer) -> None:
        resource = None if details is None else json.dumps(details).encode()
        assert TEST.payer_details("", self.BODY, resource) == payer

    @pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b'{"payload": 7}', RECORDED["authcapture_created"]])
    def test_where_nothing_is_said_and_it_never_raises(self, body: bytes) -> None:
        for resource in (None, b"", b"[]", b"{", b"[" * 100_000):
            assert TEST.payer_details("", body, resource) is None


def test_a_dispute_is_not_told() -> None:
    with pytest.raises(NoSuchSample, match="there are paid, refunded, and late_failure"):
        samples.sample("authorize_net", "disputed", reference="sub_1", number="7", now=TOLD_AT)


def test_a_subscription_that_ended_is_announced() -> None:
    told = at(5, "10:25:01")
    for how in ("cancelled", "terminated", "expired"):
        changes = {"eventType": f"net.authorize.customer.subscription.{how}"}
        assert meaning("subscription_cancelled", **changes) == [Announced("4415473", told, Change.ENDS, told)]
    (owed,) = meaning("subscription_cancelled", eventType="net.authorize.customer.subscription.suspended")
    assert isinstance(owed, DuesFailed)
