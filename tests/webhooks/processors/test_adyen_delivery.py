"""Adyen's deliveries: their signatures, their items, and whose they are."""

import base64
import json
from collections.abc import Sequence
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.settings import SettingsError
from tests.webhooks.contract import HEADER, HOSTILE
from tests.webhooks.deliveries import NOW, changed, endpoint, received
from tests.webhooks.processors.test_adyen import (
    BATCH,
    KEY,
    LIVE,
    NO_IDS,
    OTHER_KEY,
    PAID,
    RECORDED,
    SIGNED,
    TEST,
    meaning,
    of_item,
)
from webhooks.processors import Delivery, Ignored, Processor, Unusable, strict
from webhooks.processors.adyen import Adyen
from webhooks.signatures import Invalid, Verdict


@pytest.mark.parametrize("body", [body for name, body in RECORDED.items() if name != "batch"])
class TestModeAndAccount:
    def test_the_other_mode(self, body: bytes) -> None:
        with pytest.raises(Unusable, match="mode"):
            meaning(body, LIVE)
        others: list[object] = ["true", None, False, "False", "", 0, [], "x" * 100_000, ...]
        for live in others:
            with pytest.raises(Unusable, match="mode") as refused:
                TEST.interpret(*self.event(changed(body, live=live)))
            assert len(str(refused.value)) < 1_000

    def test_another_account(self, body: bytes) -> None:
        on = endpoint("adyen", KEY, account="Gym0001")
        for theirs in ("Gym0002", "gym0001", "", None, ..., ["x" * 100_000]):
            with pytest.raises(Unusable, match="account") as refused:
                on.interpret("CAPTURE", changed(body, **of_item({"merchantAccountCode": theirs})))
            assert len(str(refused.value)) < 1_000

    def test_its_own(self, body: bytes) -> None:
        for on, live in ((endpoint("adyen", KEY, account="Gym0001"), "false"), (LIVE, "true")):
            assert self.outcome(on, changed(body, live=live)) == self.outcome(TEST, body)

    def event(self, body: bytes) -> tuple[str, bytes]:
        (part,) = TEST.parse(body, {})
        return part.type, part.body

    def outcome(self, on: Processor, body: bytes) -> object:
        try:
            return on.interpret(*self.event(body))
        except Ignored as why:
            return str(why)


class TestSplit:
    def test_one_item_is_kept_as_it_came(self) -> None:
        event_id = "Gym0001:PGYM0001PAY00001:AUTHORISATION:true"
        assert TEST.parse(PAID, {}) == [(event_id, "AUTHORISATION", PAID, None, None, False)]

    def test_a_batch_is_the_same_as_its_items_one_by_one(self) -> None:
        items = json.loads(BATCH)["notificationItems"]
        alone = [TEST.parse(changed(BATCH, notificationItems=[item]), {}) for item in items]
        together = TEST.parse(BATCH, {})
        assert [[part._replace(body=b"")] for part in together] == [[part._replace(body=b"")] for (part,) in alone]
        for part, (single,) in zip(together, alone, strict=True):
            assert json.loads(part.body) == json.loads(single.body)
            assert TEST.same_content(part.body, single.body)

    @pytest.mark.parametrize("garbage", [None, 7, "x", [], {}, {"NotificationRequestItem": 7}, {"id": "x"}])
    def test_an_item_that_is_none_harms_no_other(self, garbage: object) -> None:
        good, bad = TEST.parse(changed(BATCH, notificationItems__1=garbage), {})
        assert TEST.interpret(good.type, good.body)
        assert str(bad.quarantine_reason).startswith("unparsable")

    @pytest.mark.parametrize("unsigned", [r"\u0000", r"\ud800", "\xff"])
    @pytest.mark.parametrize("at_first", [True, False])
    def test_garbage_beside_what_is_signed_harms_no_other(self, unsigned: str, at_first: bool) -> None:
        signed = TEST.sign(BATCH, NOW).body
        place = b'"cardSummary": "1111' if at_first else b'"disputeStatus": "Undefended'
        body = signed.replace(place, place + unsigned.encode("latin-1"))
        assert body != signed
        assert TEST.verify(body, {}, NOW) is None
        parts = TEST.parse(body, {})
        assert [part.event_id for part in parts] == [part.event_id for part in TEST.parse(signed, {})]
        spoilt, good = parts if at_first else parts[::-1]
        assert TEST.interpret(good.type, good.body)
        with pytest.raises(Unusable, match="unparsable"):
            TEST.interpret(spoilt.type, spoilt.body)

    @pytest.mark.parametrize("path", ["pspReference", "eventCode", "success"])
    @pytest.mark.parametrize("value", NO_IDS)
    def test_without_an_id_it_is_kept_under_its_hash(self, path: str, value: object) -> None:
        body = changed(PAID, **of_item({path: value}))
        (part,) = TEST.parse(body, {})
        assert part == strict.unreadable(body, str(part.quarantine_reason))
        assert str(part.quarantine_reason).startswith("unparsable")

    def test_a_colon_where_it_would_be_ambiguous(self) -> None:
        # Both are signed as one text: ...:Gym0001:membership:8900:USD:AUTHORISATION:100:USD:AUTHORISATION:true
        real = {"merchantReference": "membership:8900:USD:AUTHORISATION", "amount__value": 100}
        forged = {
            "merchantReference": "membership",
            "amount__value": 8900,
            "eventCode": "AUTHORISATION:100:USD:AUTHORISATION",
        }
        one, other = (TEST.sign(changed(PAID, **of_item(changes)), NOW).body for changes in (real, forged))
        signatures = [json.loads(body)["notificationItems"][0] for body in (one, other)]
        assert len({item["NotificationRequestItem"]["additionalData"]["hmacSignature"] for item in signatures}) == 1
        assert [part.quarantine_reason for part in TEST.parse(one, {})] == [None]
        for path in SIGNED:
            (part,) = TEST.parse(changed(PAID, **of_item({path: "a:b"})), {})
            assert ("colon" in str(part.quarantine_reason)) == (path != "merchantReference"), path
        assert "colon" in str(TEST.parse(other, {})[0].quarantine_reason)

    def test_a_batch_as_deep_as_can_be_read(self) -> None:
        # Writing takes a little more of the stack than reading.
        for depth in range(850, 1_000):
            deep = b'"reason": ' + b"[" * depth + b"]" * depth
            body = BATCH.replace(b'"reason": ""', deep)
            assert all(part.quarantine_reason or part.body != body for part in TEST.parse(body, {}))

    def test_what_is_more_than_one_item_means_nothing(self) -> None:
        for body in (BATCH, changed(BATCH, notificationItems=[]), changed(BATCH, notificationItems=[7])):
            with pytest.raises(Unusable, match="not one item"):
                TEST.interpret("AUTHORISATION", body)
            assert not TEST.same_content(body, body)

    def test_what_has_no_items(self) -> None:
        for body in (b"{}", b'{"notificationItems": []}', b'{"notificationItems": {}}', b"[]", b"\xff", b""):
            assert TEST.parse(body, {}) == [strict.unreadable(body, "unparsable: no notificationItems")]
            assert isinstance(TEST.verify(body, {}, NOW), Invalid)


class TestRedeliveries:
    UNSIGNED: ClassVar[dict[str, Any]] = {
        "reason": "other",
        "additionalData": {"shopperReference": "s-2"},
        "paymentMethod": "mc",
        "operations": [1],
    }

    @pytest.mark.parametrize("body", [PAID, RECORDED["chargeback"]])
    def test_unsigned_values_may_come_later_or_differently(self, body: bytes) -> None:
        assert TEST.same_content(body, changed(body, **of_item(self.UNSIGNED)))
        other_key = endpoint("adyen", OTHER_KEY)
        assert TEST.same_content(TEST.sign(body, NOW).body, other_key.sign(body, NOW).body)

    @pytest.mark.parametrize("path", SIGNED)
    def test_signed_values_may_not(self, path: str) -> None:
        assert not TEST.same_content(PAID, changed(PAID, **of_item({path: "other"})))

    def test_what_cannot_be_read_is_like_nothing_else(self) -> None:
        assert not TEST.same_content(b"{", b"[")

    def test_live_may_not(self) -> None:
        assert not TEST.same_content(PAID, changed(PAID, live="true"))

    @pytest.mark.parametrize("name", RECORDED)
    def test_told_again_at_another_time(self, name: str) -> None:
        body = TEST.parse(RECORDED[name], {})[-1].body
        later = changed(body, **of_item({"eventDate": "2027-01-01T09:00:00+01:00"}))
        latest_word_counts = (
            name.upper() in Adyen.meanings.keys() - {"AUTHORISATION", "ORDER_CLOSED"} or name == "batch"
        )
        assert TEST.same_content(body, later) is not latest_word_counts


class TestSignature:
    def verdict(self, body: bytes, headers: dict[str, str] | None = None, *secrets: str) -> Verdict:
        return endpoint("adyen", *(secrets or [KEY])).verify(body, received(headers or {}), NOW)

    def refused(self, body: bytes, headers: dict[str, str] | None = None, *secrets: str) -> None:
        assert isinstance(self.verdict(body, headers, *secrets), Invalid), body[:500]

    @pytest.mark.parametrize("name", RECORDED)
    def test_good(self, name: str) -> None:
        body, headers = TEST.sign(RECORDED[name], NOW)
        assert headers == {}
        assert self.verdict(body) is None
        self.refused(RECORDED[name])

    def test_wrong_secret(self) -> None:
        body = endpoint("adyen", OTHER_KEY).sign(PAID, NOW).body
        assert self.verdict(body, {}, OTHER_KEY) is None
        self.refused(body)

    def test_rotated(self) -> None:
        for key in (KEY, OTHER_KEY):
            assert self.verdict(endpoint("adyen", key).sign(PAID, NOW).body, {}, KEY, OTHER_KEY) is None
            assert self.verdict(endpoint("adyen", key.lower()).sign(PAID, NOW).body, {}, OTHER_KEY, KEY) is None

    def test_nothing_is_dated(self) -> None:
        # A years-old replay is authentic; its id and its age stop it.
        assert TEST.sign(PAID, NOW) == TEST.sign(PAID, 1)

    def test_every_item_of_a_batch_has_to_be_authentic(self) -> None:
        signed = TEST.sign(BATCH, NOW).body
        signatures = [
            item["NotificationRequestItem"]["additionalData"]["hmacSignature"]
            for item in json.loads(signed)["notificationItems"]
        ]
        assert signatures[0] != signatures[1]
        for place in (0, 1):
            for forged in (signatures[1 - place], "", None, 7, ..., [signatures[place]]):
                self.refused(changed(signed, **of_item({"additionalData__hmacSignature": forged}, place)))
            self.refused(changed(signed, **of_item({"amount__value": 1}, place)))
            garbages: list[object] = [None, 7, {}, [], {"NotificationRequestItem": []}]
            for garbage in garbages:
                self.refused(changed(signed, **{f"notificationItems__{place}": garbage}))

    @pytest.mark.parametrize("path", SIGNED)
    @pytest.mark.parametrize("value", ["other", 1, 1.5, True, ["x"], {"x": 1}, 10**400, "\ud800"])
    def test_signed_values_touched(self, path: str, value: object) -> None:
        self.refused(changed(TEST.sign(PAID, NOW).body, **of_item({path: value})))

    @pytest.mark.parametrize("strange", [True, 8900.0, ["x"], {"x": 1}])
    @pytest.mark.parametrize("path", SIGNED)
    def test_a_signature_over_how_python_writes_something(self, path: str, strange: object) -> None:
        signed = TEST.sign(changed(PAID, **of_item({path: str(strange)})), NOW).body
        assert self.verdict(signed) is None
        self.refused(changed(signed, **of_item({path: strange})))

    def test_body_touched(self) -> None:
        body = TEST.sign(PAID, NOW).body
        signed = self.signed_values(body)
        for end in range(len(body)):
            self.refused(body[:end])
        for place in range(len(body)):
            touched = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
            if self.verdict(touched) is None:
                assert self.signed_values(touched) == signed, touched

    def signed_values(self, body: bytes) -> list[object]:
        item = json.loads(body)["notificationItems"][0]["NotificationRequestItem"]
        return [item["amount"], *(item.get(path) for path in SIGNED if "__" not in path)]

    def test_body_serialised_again(self) -> None:
        body = TEST.sign(changed(PAID, **of_item({"merchantReference": "Größe:ñ\\:💪"})), NOW).body
        for again in (json.dumps(json.loads(body), ensure_ascii=False), json.dumps(json.loads(body), indent=4)):
            assert self.verdict(again.encode()) is None

    def test_signature_touched(self) -> None:
        signed = TEST.sign(PAID, NOW).body
        signature = json.loads(signed)["notificationItems"][0]["NotificationRequestItem"]["additionalData"][
            "hmacSignature"
        ]
        for place in range(len(signature)):
            wrong = "A" if signature[place] != "A" else "B"
            for touched in (signature[:place] + wrong + signature[place + 1 :], signature[:place]):
                self.refused(changed(signed, **of_item({"additionalData__hmacSignature": touched})))
        for strange in (signature + " ", signature * 2, f"{signature},{signature}", "é", "\ud800", "ÿ" * 10_000):
            self.refused(changed(signed, **of_item({"additionalData__hmacSignature": strange})))

    def test_hostile_bodies_raise_nothing(self) -> None:
        for spoil in HOSTILE.values():
            inside = PAID.strip().removeprefix(b"{").removesuffix(b"}")
            self.refused(spoil(inside))

    def test_other_webhooks_are_none_of_ours(self) -> None:
        self.refused(b'{"type": "ach.notificationOfChange", "environment": "test", "data": {}}')

    @given(st.binary(max_size=300), HEADER)
    def test_random_deliveries_are_refused_and_raise_nothing(self, body: bytes, header: str) -> None:
        self.refused(body, {"Authorization": header}, KEY, "user:password")
        assert TEST.parse(body, {})

    @pytest.mark.parametrize(
        "content", ["", "{", "[]", "{}", '{"notificationItems": 7}', '{"notificationItems": [7, {"x": 1}]}']
    )
    def test_what_cannot_be_signed_is_delivered_as_it_is(self, content: str) -> None:
        assert TEST.sign(content.encode(), NOW) == Delivery(content.encode(), {})


class TestBasicCredentials:
    SECRETS = (KEY, "user:pass:wörd", "old:one")
    ON = endpoint("adyen", *SECRETS)

    def verdict(self, authorization: str | None) -> Verdict:
        headers = {} if authorization is None else {"Authorization": authorization}
        return self.ON.verify(TEST.sign(PAID, NOW).body, received(headers), NOW)

    def basic(self, credentials: str, scheme: str = "Basic") -> str:
        return f"{scheme} {base64.b64encode(credentials.encode()).decode()}"

    def test_good(self) -> None:
        delivery = self.ON.sign(PAID, NOW)
        assert delivery.headers == {"Authorization": self.basic("user:pass:wörd")}
        assert delivery.body == TEST.sign(PAID, NOW).body
        for header in ("Authorization", "authorization", "AUTHORIZATION"):
            assert self.ON.verify(delivery.body, received({header: delivery.headers["Authorization"]}), NOW) is None
        for given_ in (self.basic("old:one"), self.basic("old:one", "basic")):
            assert self.verdict(given_) is None

    @pytest.mark.parametrize("credentials", ["", ":", "user", "user:", "user:pass", "other:one", "old:one ", "OLD:one"])
    def test_wrong(self, credentials: str) -> None:
        assert isinstance(self.verdict(self.basic(credentials)), Invalid)

    def test_missing_or_strange(self) -> None:
        good = self.basic("old:one")
        for header in (
            None,
            "",
            " ",
            "Basic",
            "Basic ",
            "é",
            good[6:],
            f"{good},{good}",
            good + "=",
            f"Bearer {good[6:]}",
        ):
            assert isinstance(self.verdict(header), Invalid), header

    def test_they_are_not_enough(self) -> None:
        good = {"Authorization": self.basic("old:one")}
        for body in (PAID, endpoint("adyen", OTHER_KEY).sign(PAID, NOW).body):
            assert isinstance(self.ON.verify(body, received(good), NOW), Invalid)

    def test_where_none_are_set_none_are_asked_for(self) -> None:
        body = TEST.sign(PAID, NOW).body
        for headers in ({}, {"Authorization": self.basic("any:one")}):
            assert TEST.verify(body, received(headers), NOW) is None


class TestSettings:
    @pytest.mark.parametrize(
        "secrets",
        [("",), (KEY, ""), ("user:password",), ("not-hex",), (KEY[:-1],), (KEY, "xyz"), ("é" * 4,), ("0x" + KEY,)],
    )
    def test_no_hmac_key(self, secrets: Sequence[str]) -> None:
        with pytest.raises(SettingsError, match=r"put the webhook's HMAC key.*SPP_SECRET_ADYEN"):
            endpoint("adyen", *secrets)

    @pytest.mark.parametrize("credentials", [":", "user:", ":password", "::"])
    def test_no_credentials(self, credentials: str) -> None:
        with pytest.raises(SettingsError, match="user:password"):
            endpoint("adyen", KEY, credentials)

    def test_options(self) -> None:
        for capture in ("Manual", "", "delayed"):
            with pytest.raises(SettingsError, match="set capture=auto or capture=manual"):
                endpoint("adyen", KEY, capture=capture)
        with pytest.raises(SettingsError, match="has the options: capture"):
            endpoint("adyen", KEY, api="http://localhost")
