"""Our reading of Braintree's notices against its own library, as test_differential.py does it for others.

What we accept, it accepts. What it accepts, we accept too, but for the reasons named
in `stricter_for`. Where it raises something else than its own refusal it has no say.
"""

import base64
import binascii
import re
import warnings
from datetime import UTC
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.webhooks.deliveries import NOW, PAYLOADS, endpoint, received
from webhooks.processors import Ignored, Unusable, strict
from webhooks.processors.braintree_xml import read

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # the library warns of its own constants
    import braintree
    from braintree.exceptions.invalid_challenge_error import InvalidChallengeError
    from braintree.exceptions.invalid_signature_error import InvalidSignatureError
    from braintree.util.crypto import Crypto
    from braintree.util.xml_util import XmlUtil

KEYS = {"public_1": "private_1", "public_2": "private_2", "public": "x"}
thoroughly = hypothesis_settings(max_examples=80)
KINDS = [kind for name, kind in vars(braintree.WebhookNotification.Kind).items() if not name.startswith("_")]
EDIT = st.sampled_from(["same"] * 6 + ["cut", "put", "swap"])


def gateway(public_key: str) -> Any:
    configuration = braintree.Configuration(
        braintree.Environment.Sandbox, merchant_id="gym", public_key=public_key, private_key=KEYS[public_key]
    )
    return braintree.BraintreeGateway(configuration)


THEIRS = {public_key: gateway(public_key) for public_key in KEYS}
OURS = {public_key: endpoint("braintree", f"{public_key}:{private}") for public_key, private in KEYS.items()}


def edited(data: st.DataObject, text: str) -> str:
    """The text, mostly as it is, at times with a character more, less or other."""
    how = data.draw(EDIT)
    if how == "same" or not text:
        return text
    place = data.draw(st.integers(0, len(text) - 1))
    new = data.draw(st.sampled_from([*"|&=+/Aa0\n\r -", "é"]))
    return {
        "cut": text[:place] + text[place + 1 :],
        "put": text[:place] + new + text[place:],
        "swap": text[:place] + new + text[place + 1 :],
    }[how]


def signed(public_key: str, payload: str) -> str:
    return f"{public_key}|{Crypto.sha1_hmac_hash(KEYS[public_key], payload)}"


class TestSignature:
    @thoroughly
    @given(st.data())
    def test_against_the_library(self, data: st.DataObject) -> None:
        xml = data.draw(st.binary(max_size=90) | st.just(b"<notification/>"))
        encode = data.draw(
            st.sampled_from([base64.encodebytes, base64.encodebytes, base64.b64encode, base64.b16encode])
        )
        payload = encode(xml).decode().lower() if encode is base64.b16encode else encode(xml).decode()
        pairs = [
            signed(
                data.draw(st.sampled_from(sorted(KEYS))), payload + data.draw(st.sampled_from(["", "", "", "\n", "A"]))
            )
            for _ in range(data.draw(st.integers(0, 4)))
        ]
        key = data.draw(st.sampled_from(sorted(KEYS)))
        self.compare(edited(data, "&".join(pairs)), edited(data, payload), key)

    @example("public_1|x&public_1|{}", "PG4vPg==\n")
    @example("public_1&public_1|{}", "PG4vPg==\n")
    @example("public_1|{}|", "PG4vPg==\n")
    @example("public_1|{}", "0123456789abcdef0123")
    @example("public_1|{}", "")
    @given(st.text(max_size=60), st.text(max_size=60))
    def test_fields_of_any_text(self, signature: str, payload: str) -> None:
        good = Crypto.sha1_hmac_hash("private_1", payload) if payload.isascii() else "x"
        self.compare(signature.replace("{}", good), payload, "public_1")

    @given(st.binary(max_size=200))
    def test_what_we_sign_is_good_to_both(self, xml: bytes) -> None:
        form = dict(_pairs(OURS["public_1"].sign(xml, NOW).body))
        assert self.theirs(form["bt_signature"], form["bt_payload"], "public_1")
        assert OURS["public_1"].verify(OURS["public_1"].sign(xml, NOW).body, received({}), NOW) is None

    def theirs(self, signature: str, payload: str, key: str) -> bool | None:
        try:
            THEIRS[key].webhook_notification.parse(signature, payload)
        except InvalidSignatureError:
            return False
        except (binascii.Error, UnicodeDecodeError):
            return True  # what cannot be read was found authentic before
        except ValueError:
            return None  # a second bar in a pair, or not ASCII
        except Exception:  # noqa: BLE001 -- whatever it makes of the content, the signature was good
            return True
        return True

    def stricter_for(self, signature: str, payload: str) -> str | None:
        if re.fullmatch("[a-f0-9]{20,32}", payload):
            return "a challenge, of which anyone can have the signature"
        return None if signature.isascii() else "a signature that is not ASCII"

    def compare(self, signature: str, payload: str, key: str) -> None:
        try:
            body = urlencode({"bt_signature": signature, "bt_payload": payload}).encode()
        except UnicodeEncodeError:
            return
        we = OURS[key].verify(body, received({}), NOW) is None
        they = self.theirs(signature, payload, key)
        if they and not we:
            assert self.stricter_for(signature, payload), (signature, payload)
        assert not we or they is not False, (signature, payload)


class TestChallenge:
    @example("20f9f8ed05f77439fe955c977e4c8a53")
    @example("a" * 20 + "\n")
    @given(st.text("0123456789abcdefgA\n", min_size=18, max_size=34) | st.text(max_size=40))
    def test_against_the_library(self, asked: str) -> None:
        ours = OURS["public_1"].challenge({"bt_challenge": asked})
        try:
            theirs = THEIRS["public_1"].webhook_notification.verify(asked)
        except InvalidChallengeError:
            theirs = None
        assert ours == (None if asked.endswith("\n") else theirs)


class TestReading:
    INCOMPLETE: ClassVar = {
        # What the library's samples leave out, but the API always tells.
        "subscription_charged_successfully": "currency_iso_code",
        "refund_failed": "refunded_transaction_id",
    }
    COUNTING: ClassVar = {
        *("transaction_settlement_declined", "dispute_opened", "dispute_lost", "dispute_won", "dispute_accepted"),
        *("dispute_auto_accepted", "dispute_expired", "subscription_charged_unsuccessfully"),
        *("subscription_went_past_due", "subscription_canceled", "subscription_expired"),
    }

    @pytest.mark.parametrize("id", ["Gym1", "legacy_dispute_id", "blik_one_click_id"])
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_every_sample_of_the_library(self, kind: str, id: str) -> None:
        form = THEIRS["public_1"].webhook_testing.sample_notification(kind, id)
        body = urlencode(form).encode()
        assert OURS["public_1"].verify(body, received({}), NOW) is None
        (part,) = OURS["public_1"].parse(body, received({}))
        assert (part.type, part.quarantine_reason) == (kind, None)
        assert part.body == base64.decodebytes(form["bt_payload"])
        notice = THEIRS["public_1"].webhook_notification.parse(form["bt_signature"], form["bt_payload"])
        assert notice.kind == kind
        self.agree(read(part.body), XmlUtil.dict_from_xml(part.body)["notification"])
        if kind in self.INCOMPLETE:
            with pytest.raises(Unusable, match=self.INCOMPLETE[kind]):
                OURS["public_1"].interpret(part.type, part.body)
            return
        if kind not in self.COUNTING:
            with pytest.raises(Ignored):
                OURS["public_1"].interpret(part.type, part.body)
            return
        (fact,) = OURS["public_1"].interpret(part.type, part.body)
        assert fact.occurred_at == notice.timestamp.replace(tzinfo=UTC)

    def test_all_kinds_are_among_them(self) -> None:
        assert len(KINDS) >= 40
        assert set(KINDS) >= self.COUNTING | self.INCOMPLETE.keys()

    @pytest.mark.parametrize("file", sorted((PAYLOADS / "braintree").glob("*.xml")), ids=lambda file: file.stem)
    def test_every_recorded_notice(self, file: Any) -> None:
        xml = file.read_bytes()
        self.agree(read(xml), XmlUtil.dict_from_xml(xml)["notification"])

    def agree(self, ours: Any, theirs: Any) -> None:
        """The same elements and texts; theirs are turned into dates and numbers where their type says so."""
        if isinstance(theirs, dict):
            assert isinstance(ours, dict)
            assert ours.keys() == theirs.keys()
            for key in ours:
                self.agree(ours[key], theirs[key])
        elif isinstance(theirs, list):
            # An element that stands twice is the last of them to the library, unless it has elements of its own.
            assert len(ours) == len(theirs)
            for one, other in zip(ours, theirs, strict=True):
                self.agree(one, other)
        elif isinstance(ours, list):
            self.agree(ours[-1], theirs)
        elif isinstance(theirs, str):
            assert (ours or "") == theirs
        elif theirs is None:
            assert ours is None
        elif hasattr(theirs, "hour"):
            assert strict.iso_time({"at": ours}, "at") == theirs.replace(tzinfo=UTC)
        elif isinstance(theirs, bool):
            assert theirs is (ours in {"true", "1"})
        else:
            assert str(theirs) == ours


def _pairs(body: bytes) -> list[tuple[str, str]]:
    return parse_qsl(body.decode(), keep_blank_values=True)
