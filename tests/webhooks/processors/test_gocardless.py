import json
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any, ClassVar

import pytest

from local import samples
from models.payments.facts import Announced, Change, Fact, Paid, Restored, Reversed
from runtime.settings import SettingsError
from tests.models.payments.entitled import Terms, entitlement
from tests.webhooks.coded import METADATA, Coded
from tests.webhooks.contract import ProcessorContract
from tests.webhooks.deliveries import NOW, PAYLOADS, changed, endpoint, received, recorded
from webhooks.processors import Ignored, ParsedEvent, Processor, Unusable
from webhooks.processors.events import Payer

TEST = endpoint("gocardless", "secret")
OURS = endpoint("gocardless", "secret", account="OR1")
RECORDED = recorded("gocardless")
RESOURCES = {
    kind: (PAYLOADS / f"gocardless/resources/{kind[:-1]}.json").read_bytes()
    for kind in ("payments", "refunds", "billing_requests")
}
CONFIRMED, PAID_OUT, FAILED = (RECORDED[f"payment_{action}"] for action in ("confirmed", "paid_out", "failed"))
REFUND_PAID, REFUND_FAILED = RECORDED["refund_paid"], RECORDED["refund_failed"]
TOLD = datetime(2026, 11, 1, 9, 0, 5, 123_000, tzinfo=UTC)


class TestContract(ProcessorContract):
    processor = "gocardless"
    codes = (
        Coded("payment_confirmed", "events__0__resource_metadata", "SBGym0001", METADATA),
        Coded("payment_confirmed", "metadata", "SBGym0001", METADATA, fetched=RESOURCES["payments"]),
        Coded("payment_confirmed", "mandate", "SBGym0001", {"metadata": METADATA}, fetched=RESOURCES["payments"]),
        Coded("billing_request_fulfilled", "metadata", "MDGym0001", METADATA, fetched=RESOURCES["billing_requests"]),
        Coded("subscription_cancelled", "events__0__resource_metadata", "SBGym0001", METADATA),
    )
    key = b"secret"
    other_key = b"other"
    signature_header = "Webhook-Signature"
    tolerance_s = None
    varies: ClassVar[frozenset[str]] = frozenset(
        [
            *("metadata", "resource_metadata", "branch", "details", "origin", "cause", "description", "scheme"),
            *("reason_code", "will_attempt_retry"),
        ]
    )

    def resource(self, part: ParsedEvent) -> bytes:
        return RESOURCES[part.type.partition(".")[0]]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def of_event(**changes: object) -> dict[str, Any]:
    return {f"events__0__{path}": value for path, value in changes.items()}


def part_of(body: bytes, **changes: object) -> ParsedEvent:
    (part,) = TEST.parse(changed(body, **of_event(**changes)), {})
    assert part.quarantine_reason is None
    return part


def meaning(body: bytes, fetched: dict[str, Any] | None = None, on: Processor = TEST, **changes: object) -> list[Fact]:
    part = part_of(body, **changes)
    resource = changed(RESOURCES[part.type.partition(".")[0]], **(fetched or {})) if part.thin else None
    return on.interpret(part.type, part.body, resource)


class TestPaid:
    def test_confirmed(self) -> None:
        assert meaning(CONFIRMED) == [
            Paid("PMGym0001", TOLD, 8900, "USD", ("SBGym0001", "MDGym0001")),
            Restored("PMGym0001", TOLD, "failure:PMGym0001"),
        ]

    def test_paid_out_tells_the_same_later(self) -> None:
        told = at("2026-11-03T09:00:00")
        assert meaning(PAID_OUT) == [
            Paid("PMGym0001", told, 8900, "USD", ("SBGym0001", "MDGym0001")),
            Restored("PMGym0001", told, "failure:PMGym0001"),
        ]

    @pytest.mark.parametrize(
        ("links", "references"),
        [
            ({"subscription": "SB1", "mandate": "MD1", "creditor": "CR1"}, ("SB1", "MD1")),
            ({"instalment_schedule": "IS1", "mandate": "MD1", "payout": "PO1"}, ("IS1", "MD1")),
            ({"mandate": "MD1", "subscription": None}, ("MD1",)),
            ({"mandate": "MD1", "subscription": ""}, ("MD1",)),
            ({"creditor": "CR1"}, ()),
            ({}, ()),
            (None, ()),
        ],
    )
    def test_billing_references(self, links: object, references: tuple[str, ...]) -> None:
        paid = meaning(CONFIRMED, {"links": links})[0]
        assert isinstance(paid, Paid)
        assert paid.billing_references == references

    def test_the_customer_of_its_mandate_is_the_payer(self) -> None:
        paid = meaning(CONFIRMED, {"links__customer": "CUGym0001"})[0]
        assert isinstance(paid, Paid)
        assert (paid.billing_references, paid.payer) == (("SBGym0001", "MDGym0001"), ("CUGym0001",))

    @pytest.mark.parametrize("mandate", ["MD 1", "MD\x7f", 7, ["MD1"], {"id": 7}])
    def test_a_reference_that_is_none_is_not_left_out_in_silence(self, mandate: object) -> None:
        with pytest.raises(Unusable, match="mandate"):
            meaning(CONFIRMED, {"links__mandate": mandate})

    def test_zero_amount(self) -> None:
        with pytest.raises(Ignored, match="zero"):
            meaning(CONFIRMED, {"amount": 0})

    @pytest.mark.parametrize(("currency", "amount"), [("jpy", 8900), ("GBP", 1), ("kwd", 28500)])
    def test_amounts_are_minor_units_whatever_the_exponent(self, currency: str, amount: int) -> None:
        paid = meaning(CONFIRMED, {"currency": currency, "amount": amount})[0]
        assert isinstance(paid, Paid)
        assert (paid.amount_minor, paid.currency) == (amount, currency.upper())


def test_the_payer_is_described_by_the_payment() -> None:
    for kind, told in (("payments", "Membership, November"), ("billing_requests", "First month")):
        assert TEST.payer_details(f"{kind}.confirmed", b"", RESOURCES[kind]) == Payer(description=told)
    for nothing in (None, b"", b"[]", b"{}", b'{"description": 7, "payment": 7}'):
        assert TEST.payer_details("payments.confirmed", b"", nothing) is None


class TestGoneAndBack:
    def test_failed(self) -> None:
        back = Reversed("PMGym0001", at("2026-11-05T09:00:00"), "failure:PMGym0001")
        assert meaning(FAILED)[0] == back

    @pytest.mark.parametrize("retry", [True, False, None, "yes", ...])
    def test_that_it_will_be_tried_again_restores_nothing_yet(self, retry: object) -> None:
        assert meaning(FAILED, details__will_attempt_retry=retry) == meaning(FAILED)

    def test_chargeback(self) -> None:
        told, cause = at("2026-11-10T09:00:00"), "chargeback:PMGym0001"
        assert meaning(RECORDED["payment_charged_back"]) == [Reversed("PMGym0001", told, cause)]
        told = at("2026-11-12T09:00:00")
        assert meaning(RECORDED["payment_chargeback_cancelled"]) == [Restored("PMGym0001", told, cause)]

    @pytest.mark.parametrize("action", ["paid", "refund_settled"])
    def test_a_refund_counts_from_when_it_was_made(self, action: str) -> None:
        made = at("2026-11-02T09:00:00")
        for body in (REFUND_PAID, RECORDED["refund_settled"]):
            told = meaning(body, action=action)
            assert told == [Reversed("PMGym0001", made, "refund:RFGym0001", 3000, "USD")]

    @pytest.mark.parametrize("action", ["failed", "bounced", "funds_returned"])
    def test_a_refund_that_came_back(self, action: str) -> None:
        told = at("2026-11-06T09:00:00")
        assert meaning(REFUND_FAILED, action=action) == [
            Restored("PMGym0001", told, "refund:RFGym0001", 3000, "USD"),
        ]

    @pytest.mark.parametrize("payment", [None, "", ...])
    def test_a_refund_on_a_mandate(self, payment: object) -> None:
        for body in (REFUND_PAID, REFUND_FAILED):
            with pytest.raises(Ignored, match="of no payment"):
                meaning(body, {"links__payment": payment})


@pytest.mark.parametrize("body", [CONFIRMED, PAID_OUT, REFUND_PAID, REFUND_FAILED])
class TestFetched:
    @pytest.mark.parametrize("amount", [89.0, 8900.5, "8900", True, -1, None, [8900], 10**13, ...])
    def test_what_is_no_amount(self, body: bytes, amount: object) -> None:
        with pytest.raises(Unusable, match="amount"):
            meaning(body, {"amount": amount})

    @pytest.mark.parametrize("currency", ["", "us", "usdd", "us1", "ÜSD", 840, None, ["usd"], ...])
    def test_what_is_no_currency(self, body: bytes, currency: object) -> None:
        with pytest.raises(Unusable, match="currency"):
            meaning(body, {"currency": currency})

    @pytest.mark.parametrize("id", [None, "", "PM 1", 7, ...])
    def test_what_is_no_id(self, body: bytes, id: object) -> None:
        with pytest.raises(Unusable, match="id is"):
            meaning(body, {"id": id})

    def test_another_than_the_event_names(self, body: bytes) -> None:
        with pytest.raises(Unusable, match="another"):
            meaning(body, {"id": "PMGym0002"})

    @pytest.mark.parametrize("resource", [None, b"", b"[]", b"{", b'{"id":1,"id":1}', b'{"amount":NaN}'])
    def test_nothing_that_can_be_read(self, body: bytes, resource: bytes | None) -> None:
        part = part_of(body)
        with pytest.raises(Unusable):
            TEST.interpret(part.type, part.body, resource)


@pytest.mark.parametrize("value", ["text", 7, [1], True])
@pytest.mark.parametrize("body", [CONFIRMED, FAILED, REFUND_PAID])
def test_links_that_are_none(body: bytes, value: object) -> None:
    with pytest.raises(Unusable, match="links"):
        meaning(body, links=value)


@pytest.mark.parametrize("id", [None, "", "PM 1", "..", "PM1/../../x", "PM1?x=1", "PM%31", "x" * 256, 7, ["PM1"], ...])
@pytest.mark.parametrize(("body", "link"), [(CONFIRMED, "payment"), (FAILED, "payment"), (REFUND_PAID, "refund")])
def test_what_is_no_link(body: bytes, link: str, id: object) -> None:
    part = part_of(body, **{f"links__{link}": id})
    with pytest.raises(Unusable, match=link):
        TEST.interpret(part.type, part.body, RESOURCES[f"{link}s"])
    if part.thin:
        with pytest.raises(Unusable, match=link):
            TEST.fetch(part.type, part.body)


@pytest.mark.parametrize("time", [None, "", 1793527205, "2026-11-01", "2026-11-01T09:00:00", "yesterday", ["x"], ...])
def test_what_is_no_time(time: object) -> None:
    for body in (CONFIRMED, FAILED, REFUND_FAILED):
        with pytest.raises(Unusable, match="created_at"):
            meaning(body, created_at=time)
    with pytest.raises(Unusable, match="created_at"):
        meaning(REFUND_PAID, {"created_at": time})


@pytest.mark.parametrize(
    ("type", "why"),
    [
        ("payments.created", "nothing was collected"),
        ("payments.customer_approval_granted", "nothing was collected"),
        ("payments.customer_approval_denied", "no money moved"),
        ("payments.submitted", "nothing was collected"),
        ("payments.cancelled", "no money moved"),
        ("payments.resubmission_requested", "nothing was collected"),
        ("payments.late_failure_settled", "payout accounting of an earlier payments.failed"),
        ("payments.chargeback_settled", "payout accounting of an earlier payments.charged_back"),
        ("payments.surcharge_fee_debited", "fee"),
        ("payments.surcharge_fee_credited", "fee"),
        ("refunds.created", "no money went back yet"),
        ("payouts.paid", "nothing about dues"),
        ("subscriptions.payment_created", "nothing about dues"),
    ],
)
def test_types_without_effect(type: str, why: str) -> None:
    resource_type, _, action = type.partition(".")
    for body in (CONFIRMED, REFUND_PAID):
        part = part_of(body, resource_type=resource_type, action=action)
        assert (part.type, part.thin) == (type, False)
        with pytest.raises(Ignored, match=why):
            TEST.interpret(part.type, part.body)


BOTH = ("confirmed", "paid_out")


@pytest.mark.parametrize(
    ("told", "taken_back"),
    [
        (("confirmed",), 0),
        (("paid_out",), 0),
        (BOTH, 0),
        (("failed", "confirmed"), 0),
        (("failed", "paid_out"), 0),
        (("confirmed", "failed"), 89),
        ((*BOTH, "failed"), 89),
        (("confirmed", "failed", "confirmed"), 0),
        (("confirmed", "failed", "confirmed", "late_failure_settled"), 0),
        ((*BOTH, "failed", "late_failure_settled", "paid_out"), 0),
        (("confirmed", "failed", "confirmed", "failed"), 89),
        (("confirmed", "charged_back"), 89),
        (("confirmed", "charged_back", "chargeback_settled"), 89),
        (("confirmed", "charged_back", "chargeback_cancelled"), 0),
        (("confirmed", "charged_back", "chargeback_cancelled", "charged_back"), 89),
        (("charged_back", "confirmed"), 89),
        (("confirmed", "refunds.paid"), 30),
        (("confirmed", "refunds.paid", "refunds.refund_settled"), 30),
        (("confirmed", "refunds.paid", "refunds.failed"), 0),
        (("confirmed", "refunds.refund_settled", "refunds.failed", "refunds.paid"), 0),
        (("confirmed", "refunds.paid", "failed"), 89),
        (("confirmed", "failed", "refunds.paid", "confirmed"), 30),
    ],
)
def test_stories(told: tuple[str, ...], taken_back: int) -> None:
    said: list[list[Fact]] = []
    for day, what in enumerate(told, start=3):
        resource_type, action = what.split(".") if "." in what else ("payments", what)
        body = {"payments": CONFIRMED, "refunds": REFUND_PAID}[resource_type]
        try:
            said.append(meaning(body, action=action, created_at=f"2026-11-{day:02}T09:00:00.000Z"))
        except Ignored:
            assert what.endswith("_settled")
    for order in permutations(said):
        (owed,) = entitlement([fact for facts in order for fact in facts + facts], [Terms(1, 89, 0)])
        assert (owed.quantity, owed.reversed) == (89, taken_back)


class TestAccount:
    @pytest.mark.parametrize("theirs", ["OR2", "", None, 7, ["OR1"], ...])
    def test_another(self, theirs: object) -> None:
        for body in (CONFIRMED, FAILED, RECORDED["unknown_type"]):
            changes: dict[str, Any] = {"links__organisation": theirs} if theirs is not ... else {}
            with pytest.raises(Unusable, match="organisation"):
                meaning(body, on=OURS, **changes)
            with pytest.raises(Unusable, match="organisation"):
                OURS.fetch("payments.confirmed", part_of(body, **changes).body)

    def test_ours(self) -> None:
        assert meaning(CONFIRMED, on=OURS, links__organisation="OR1") == meaning(CONFIRMED)

    def test_whichever_where_none_is_set(self) -> None:
        assert meaning(CONFIRMED, links__organisation="OR7") == meaning(CONFIRMED)


def test_what_the_dashboard_makes_up() -> None:
    for body in (CONFIRMED, FAILED):
        part = part_of(body, id="EVTESTXN4AHBTB")
        assert not part.thin
        with pytest.raises(Ignored, match="made up"):
            TEST.interpret(part.type, part.body)


def test_what_gocardless_is_answered() -> None:
    assert (TEST.accepted, TEST.refused) == ("", 498)


def test_options() -> None:
    assert endpoint("gocardless", "secret", api="http://127.0.0.1:1")
    with pytest.raises(SettingsError, match="sandbox"):
        endpoint("gocardless", "secret", sandbox="yes")


SAMPLED_AT = datetime(2026, 11, 1, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "types"),
    [
        ("paid", ["payments.confirmed"]),
        ("refunded", ["payments.confirmed", "refunds.paid"]),
        ("disputed", ["payments.confirmed", "payments.charged_back"]),
        ("late_failure", ["payments.confirmed", "payments.paid_out", "payments.failed"]),
    ],
)
@pytest.mark.parametrize("account", [None, "OR1"])
def test_samples(name: str, types: list[str], account: str | None) -> None:
    on = endpoint("gocardless", "secret", account=account)
    facts: list[Fact] = []
    ids, seen = [], []
    for content, api in samples.sample(
        "gocardless", name, reference="SB1", number="7", now=SAMPLED_AT, currency="GBP", account=account
    ):
        delivery = on.sign(content, NOW)
        assert on.verify(delivery.body, received(delivery.headers), NOW) is None
        (part,) = on.parse(delivery.body, received(delivery.headers))
        kind = part.type.partition(".")[0]
        link = json.loads(part.body)["links"][kind[:-1]]
        resource = json.dumps(api[kind, link]).encode() if part.thin else None
        facts += on.interpret(part.type, part.body, resource)
        assert api["events", part.event_id] == json.loads(part.body)
        ids.append(part.event_id)
        seen.append(part.type)
    assert seen == types
    assert len(set(ids)) == len(ids)
    assert facts[0] == Paid("PM007", SAMPLED_AT - timedelta(seconds=len(ids) - 1), 8900, "GBP", ("SB1", "MD007"))
    (owed,) = entitlement(facts, [Terms(1, 8, 0)])
    assert owed.reversed == (0 if name == "paid" else 8)


class TestAnnounced:
    CANCELLED, TOLD = RECORDED["subscription_cancelled"], at("2026-11-20T09:30:00")

    @pytest.mark.parametrize(
        ("type", "what"),
        [
            ("subscriptions.cancelled", Change.ENDS),
            ("subscriptions.finished", Change.ENDS),
            ("subscriptions.paused", Change.PAUSED),
            ("subscriptions.resumed", Change.RESUMED),
            ("mandates.cancelled", Change.ENDS),
            ("mandates.failed", Change.ENDS),
            ("mandates.expired", Change.ENDS),
            ("mandates.reinstated", Change.GOES_ON),
        ],
    )
    def test_what_becomes_of_it(self, type: str, what: Change) -> None:
        kind, action = type.split(".")
        links = {kind.removesuffix("s"): "ID1"}
        told = meaning(self.CANCELLED, resource_type=kind, action=action, links=links)
        assert told == [Announced("ID1", self.TOLD, what, self.TOLD if what == Change.ENDS else None)]
