"""Stripe's deliveries: their signatures and versions, and whose they are."""

import hashlib
import hmac
import json
import re
from typing import Any

import pytest

from tests.webhooks.deliveries import NOW, changed, endpoint, received
from tests.webhooks.processors.test_stripe import (
    LINK,
    LIVE,
    PAID,
    PAID_BEFORE_BASIL,
    RECORDED,
    REFUND,
    TEST,
    TOTAL,
    TOTAL_BEFORE_BASIL,
    WITHDRAWN,
    meaning,
)
from webhooks import signatures
from webhooks.processors import Processor, Unusable

SNAPSHOTS = {name: body for name, body in RECORDED.items() if not name.startswith("thin")}


@pytest.mark.parametrize("body", SNAPSHOTS.values(), ids=SNAPSHOTS)
class TestModeAndAccount:
    def test_live_on_a_test_endpoint(self, body: bytes) -> None:
        with pytest.raises(Unusable, match="mode"):
            meaning(body, livemode=True)

    def test_test_on_a_live_endpoint(self, body: bytes) -> None:
        with pytest.raises(Unusable, match="mode"):
            meaning(body, LIVE)

    @pytest.mark.parametrize("livemode", [None, 0, 1, "false", "true", [], "x" * 100_000, ...])
    def test_neither(self, body: bytes, livemode: object) -> None:
        for on in (TEST, LIVE):
            with pytest.raises(Unusable, match="mode") as refused:
                meaning(body, on, livemode=livemode)
            assert len(str(refused.value)) < 1_000

    def test_another_account(self, body: bytes) -> None:
        for theirs in ("acct_2", None, ""):
            with pytest.raises(Unusable, match="account"):
                meaning(body, _with_account("acct_1"), account=theirs)
        for theirs in ("acct_1", 7, ["acct_1"]):
            with pytest.raises(Unusable, match="account"):
                meaning(body, TEST, account=theirs)


def _with_account(account: str) -> Processor:
    return endpoint("stripe", "whsec_test", account=account)


def test_on_its_own_account_and_mode_it_counts() -> None:
    assert meaning(PAID, _with_account("acct_1"), account="acct_1") == meaning(PAID)
    assert meaning(PAID, LIVE, livemode=True) == meaning(PAID)


class TestSplit:
    def test_an_event(self) -> None:
        assert TEST.parse(PAID, {}) == [("evt_Gym0001", "invoice.paid", PAID, "2025-06-30.basil", None, False)]

    @pytest.mark.parametrize("version", [None, "", 7, [], "x" * 256, "with blank", ...])
    def test_an_api_version_that_is_none_does_not_matter(self, version: object) -> None:
        body = changed(PAID, api_version=version)
        assert TEST.parse(body, {}) == [("evt_Gym0001", "invoice.paid", body, None, None, False)]

    @pytest.mark.parametrize("key", ["id", "type"])
    @pytest.mark.parametrize(
        "value", [None, "", 7, True, ["evt_1"], "x" * 256, "a b", "evt_\x00", "évt", "\ud800", ...]
    )
    def test_without_an_id_or_type_it_is_kept_under_its_hash(self, key: str, value: object) -> None:
        body = changed(PAID, **{key: value})
        (part,) = TEST.parse(body, {})
        assert re.fullmatch("sha256:[0-9a-f]{64}", part.event_id)
        assert str(part.quarantine_reason).startswith("unparsable")
        assert TEST.parse(changed(body, created=1), {})[0].event_id != part.event_id


def test_pending_webhooks_count_down_between_redeliveries() -> None:
    for left in (0, 1, 7, None):
        assert TEST.same_content(PAID, changed(PAID, pending_webhooks=left))
    assert not TEST.same_content(PAID, changed(PAID, pending_webhooks=1, data__object__amount_paid=1))
    assert not TEST.same_content(PAID, changed(PAID, data__object__pending_webhooks=1))


class TestVersions:
    """The API lists an event in the account's version, which may not be the one that was delivered."""

    BASIL, CLOVER, BEFORE = "2025-06-30.basil", "2026-09-30.clover", "2024-06-20"

    @pytest.mark.parametrize("body", SNAPSHOTS.values(), ids=SNAPSHOTS)
    def test_another_version_that_means_the_same(self, body: bytes) -> None:
        for more in ({}, {"data__object__object": "other"}, {"request": None}):
            assert TEST.same_content(body, changed(body, api_version=self.CLOVER, **more))
            assert TEST.same_content(changed(body, api_version=self.CLOVER, **more), body)
            assert not more or not TEST.same_content(body, changed(body, **more))

    @pytest.mark.parametrize(
        ("first", "second"), [(PAID, PAID_BEFORE_BASIL), (TOTAL, TOTAL_BEFORE_BASIL)], ids=["invoice", "charge"]
    )
    def test_across_basil_the_links_may_be_told_or_not(self, first: bytes, second: bytes) -> None:
        second = changed(second, id=json.loads(first)["id"])
        assert meaning(first) != meaning(second)
        assert TEST.same_content(first, second)
        assert TEST.same_content(second, first)
        assert not TEST.same_content(first, changed(second, api_version=self.BASIL))

    @pytest.mark.parametrize(
        ("body", "changes"),
        [
            (PAID, {"data__object__amount_paid": 1}),
            (PAID, {"data__object__amount_paid": 0}),
            (PAID, {"data__object__id": "in_2"}),
            (PAID, {"data__object__customer": "cus_2"}),
            (PAID, {"data__object__status_transitions__paid_at": 1}),
            (PAID, {"id": "evt_2"}),
            (PAID, {"type": "invoice.finalized"}),
            (PAID_BEFORE_BASIL, {"data__object__payment_intent": "pi_2"}),
            (LINK, {"data__object__payment": None}),
            (LINK, {"data__object__payment__payment_intent": "pi_2"}),
            (REFUND, {"data__object__status": "failed"}),
            (REFUND, {"data__object__amount": "3000"}),
            (TOTAL, {"data__object__amount_refunded": 8900}),
            (WITHDRAWN, {"livemode": True}),
            (WITHDRAWN, {"account": "acct_1"}),
            (RECORDED["unknown_type"], {"type": "invoice.created"}),
        ],
    )
    def test_another_version_that_means_something_else(self, body: bytes, changes: dict[str, Any]) -> None:
        other = changed(body, api_version=self.BEFORE if body != PAID_BEFORE_BASIL else self.BASIL, **changes)
        assert not TEST.same_content(body, other)
        assert not TEST.same_content(other, body)


class TestHeader:
    """What is Stripe's own about it; the contract has the rest."""

    GOOD = TEST.sign(PAID, NOW).headers["Stripe-Signature"]

    def verdict(self, header: str) -> signatures.Verdict:
        return TEST.verify(PAID, received({"Stripe-Signature": header}), NOW)

    def test_only_v1_counts(self) -> None:
        assert self.verdict(self.GOOD) is None
        for scheme in ("v0", "v2", "V1", "v11", ""):
            assert self.verdict(self.GOOD.replace("v1=", f"{scheme}=")) is not None

    def test_two_timestamps(self) -> None:
        for header in (f"t={NOW},{self.GOOD}", f"{self.GOOD},t={NOW}", f"{self.GOOD}, t=1"):
            assert self.verdict(header) == signatures.Invalid("not exactly one timestamp in Stripe-Signature")

    @pytest.mark.parametrize("time", ["", "0{}", "+{}", " {}", "{}.0", "{}e0", "١٧٩", "1_7", "-{}", "0x1", "9" * 5_000])
    def test_what_is_no_timestamp(self, time: str) -> None:
        assert self.verdict(self.GOOD.replace(f"t={NOW}", f"t={time.format(NOW)}")) is not None
        signed = time.format(NOW).encode()
        signature = hmac.digest(b"whsec_test", signed + b"." + PAID, hashlib.sha256).hex()
        assert self.verdict(f"t={time.format(NOW)},v1={signature}") is not None

    def test_a_header_stuffed_with_signatures(self) -> None:
        wrong = ",v1=" + "0" * 64
        assert self.verdict(self.GOOD + wrong * 1_000) is None
        assert self.verdict(f"t={NOW}" + wrong * 1_000) is not None
