"""Braintree's deliveries: signed forms, and challenges."""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.settings import SettingsError
from tests.webhooks.deliveries import NOW, endpoint, received
from tests.webhooks.processors.test_braintree import CHARGE, KEY, ON, OTHER_KEY, PAID, RECORDED, edited, split
from tests.webhooks.processors.test_braintree_xml import inside
from webhooks.processors import Processor
from webhooks.signatures import Invalid


class TestSplit:
    def test_a_notice(self) -> None:
        (part,) = split(PAID)
        assert re.fullmatch("sha256:[0-9a-f]{64}", part.event_id)
        assert part == (part.event_id, "subscription_charged_successfully", PAID, None, None, False)

    @pytest.mark.parametrize("path", ["kind", "timestamp", "subject/subscription/id", f"{CHARGE}/id"])
    def test_another_event_where_one_of_its_marks_differs(self, path: str) -> None:
        assert split(edited(PAID, {path: "other"}))[0].event_id != split(PAID)[0].event_id

    def test_the_same_event_whatever_else_differs(self) -> None:
        (part,), (twin,) = split(PAID), split(edited(PAID, {f"{CHARGE}/amount": "1.00"}))
        assert part.event_id == twin.event_id
        assert not ON.same_content(part.body, twin.body)

    def test_what_has_no_subject_is_known_by_its_content(self) -> None:
        (part,), (twin,) = (split(inside(more)(RECORDED["check"])) for more in (b"", b"<x/>"))
        assert part.event_id != twin.event_id
        assert part.type == twin.type == "check"

    @pytest.mark.parametrize("payload", ["=", "A", "AAAAA", "AA=A", "===="])
    def test_what_is_not_base64_is_kept_as_it_came(self, payload: str) -> None:
        delivery = deliver(payload)
        assert ON.verify(delivery, {}, NOW) is None
        (part,) = ON.parse(delivery, {})
        assert (part.body, part.quarantine_reason) == (payload.encode(), "unparsable: not base64")


def deliver(payload: str, signature: str | None = None) -> bytes:
    """The form around this payload, rightly signed unless it is said how."""
    if signature is None:
        signature = "public_1|" + signed(payload)
    return urlencode({"bt_signature": signature, "bt_payload": payload}).encode()


def signed(payload: str, key: str = KEY) -> str:
    private_key = hashlib.sha1(key.partition(":")[2].encode()).digest()
    return hmac.digest(private_key, payload.encode(), "sha1").hex()


class TestSignature:
    PAYLOAD = base64.encodebytes(PAID).decode()
    GOOD = ON.sign(PAID, NOW).body

    def refused(self, body: bytes, on: Processor = ON, why: str = "") -> None:
        verdict = on.verify(body, received({}), NOW)
        assert isinstance(verdict, Invalid), body
        assert why in verdict.because

    def test_good(self) -> None:
        for xml in RECORDED.values():
            assert ON.verify(ON.sign(xml, NOW).body, received({}), NOW) is None

    def test_published_by_the_library(self) -> None:
        # Computed by the official library, braintree 4.48.0.
        payload = "PG5vdGlmaWNhdGlvbj48a2luZD5jaGVjazwva2luZD48L25vdGlmaWNhdGlvbj4=\n"
        theirs = endpoint("braintree", "integration_public_key:integration_private_key")
        signature = signed(payload, "integration_public_key:integration_private_key")
        assert signature == "d53eaf7e941a322fd63f23a4c014828169ba83f4"
        assert theirs.verify(deliver(payload, f"integration_public_key|{signature}"), {}, NOW) is None

    def test_wrong_secret(self) -> None:
        for key in (OTHER_KEY, "public_1:private_2", "public_2:private_1"):
            self.refused(ON.sign(PAID, NOW).body, endpoint("braintree", key), "no signature")
        self.refused(self.GOOD, endpoint("braintree"), "no signature")

    @pytest.mark.parametrize("secret", ["", ":", "public", "public:", ":private", "pub lic:private", "públic:private"])
    def test_what_is_no_secret(self, secret: str) -> None:
        with pytest.raises(SettingsError, match=r"PUBLIC_KEY:PRIVATE_KEY.*SPP_SECRET_BRAINTREE"):
            endpoint("braintree", KEY, secret)

    def test_rotated(self) -> None:
        old, new, both = (
            endpoint("braintree", KEY),
            endpoint("braintree", OTHER_KEY),
            endpoint("braintree", KEY, OTHER_KEY),
        )
        for on in (old, new):
            assert both.verify(on.sign(PAID, NOW).body, {}, NOW) is None
        two = f"public_1|{signed(self.PAYLOAD)}&public_2|{signed(self.PAYLOAD, OTHER_KEY)}"
        for on in (old, new, both):
            assert on.verify(deliver(self.PAYLOAD, two), {}, NOW) is None

    def test_nothing_in_it_is_dated(self) -> None:
        # A years-old replay is authentic; its id and its age stop it.
        assert ON.sign(PAID, 1) == ON.sign(PAID, NOW)

    def test_touched_or_cut_off(self) -> None:
        fields = dict(parse_qsl(self.GOOD.decode()))
        for at_place in range(0, len(self.PAYLOAD) - 1, 7):
            wrong = "A" if self.PAYLOAD[at_place] != "A" else "B"
            self.refused(
                deliver(self.PAYLOAD[:at_place] + wrong + self.PAYLOAD[at_place + 1 :], fields["bt_signature"])
            )
            self.refused(deliver(self.PAYLOAD[:at_place], fields["bt_signature"]))
        signature = fields["bt_signature"]
        for at_place in range(len(signature)):
            wrong = "A" if signature[at_place] != "A" else "B"
            self.refused(deliver(self.PAYLOAD, signature[:at_place] + wrong + signature[at_place + 1 :]))
            self.refused(deliver(self.PAYLOAD, signature[:at_place]))
        for end in range(0, len(self.GOOD), 11):
            self.refused(self.GOOD[:end])

    def test_encoded_again(self) -> None:
        # The same XML in one line, or in more: the text is signed, not what it stands for.
        for payload in (base64.b64encode(PAID).decode(), self.PAYLOAD.replace("\n", "\n\n"), self.PAYLOAD + "\n"):
            self.refused(deliver(payload, f"public_1|{signed(self.PAYLOAD)}"))

    def test_a_payload_that_lost_its_last_line_end(self) -> None:
        assert ON.verify(deliver(self.PAYLOAD.rstrip("\n"), f"public_1|{signed(self.PAYLOAD)}"), {}, NOW) is None

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda good: b"",
            lambda good: good + b"&bt_payload=",
            lambda good: good + b"&bt_signature=x",
            lambda good: good + b"&",
            lambda good: good + b"&x",
            lambda good: good + "&x=é".encode(),
            lambda good: good + b"&x=1" * 20,
            lambda good: good.replace(b"bt_payload", b"bt_payloads"),
            lambda good: good.replace(b"%0A", b"%0D%0A"),
            lambda good: good.replace(b"%0A", b"+", 1),
            lambda good: good.replace(b"bt_signature=", b"bt_signature=%00"),
            lambda good: good.replace(b"%7C", b"%7C%7C"),
            lambda good: good.replace(b"%7C", b"%C3%A9"),
            lambda good: good.replace(b"%7C", b"%7C%C3%A9"),
            lambda good: good.replace(b"public_1%7C", b""),
            lambda good: good.replace(b"public_1", b"PUBLIC_1"),
            lambda good: good.replace(b"public_1%7C", b"public_1%7Cx%26public_1%7C"),
            lambda good: b"bt_signature=" + b"public_1%7Cx%26" * 10_000 + b"&bt_payload=",
            lambda good: b"{" * 100_000,
        ],
    )
    def test_what_is_no_such_form(self, spoil: Callable[[bytes], bytes]) -> None:
        self.refused(spoil(self.GOOD))

    def test_more_fields_and_signatures_do_no_harm(self) -> None:
        assert ON.verify(self.GOOD + b"&x=1", {}, NOW) is None
        more = f"x&|&y|z&public_9|{'0' * 40}&public_1|{signed(self.PAYLOAD)}"
        assert ON.verify(deliver(self.PAYLOAD, more), {}, NOW) is None

    @given(st.binary(max_size=300))
    def test_random_deliveries_are_refused_and_raise_nothing(self, body: bytes) -> None:
        self.refused(body)
        assert ON.parse(body, received({}))[0].quarantine_reason


class TestChallenge:
    def test_it_is_answered_with_the_public_key_and_the_signature(self) -> None:
        asked = "20f9f8ed05f77439fe955c977e4c8a53"
        theirs = endpoint("braintree", "integration_public_key:integration_private_key", OTHER_KEY)
        assert (
            theirs.challenge({"bt_challenge": asked})
            == "integration_public_key|d9b899556c966b3f06945ec21311865d35df3ce4"
        )

    @pytest.mark.parametrize(
        "asked", ["", "a" * 19, "a" * 33, "A" * 20, "g" * 20, "a" * 20 + "\n", "\u0660" * 20, "PG5vdGlmaWNhdGlvbj4="]
    )
    def test_what_is_no_challenge(self, asked: str) -> None:
        assert ON.challenge({"bt_challenge": asked}) is None

    def test_nothing_is_asked(self) -> None:
        assert ON.challenge({}) is None
        assert endpoint("braintree").challenge({"bt_challenge": "a" * 20}) is None

    def test_an_answer_signs_no_delivery(self) -> None:
        for asked in ("a" * 20, "0123456789abcdef" * 2):
            answer = ON.challenge({"bt_challenge": asked})
            verdict = ON.verify(deliver(asked, answer), {}, NOW)
            assert verdict == Invalid("bt_payload is not base64 of a notice")
