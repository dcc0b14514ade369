"""Our check of Adyen's signatures against its own library.

The library looks at the first item of a batch only, so it is asked about each by itself;
then what we accept, it accepts. What it accepts, we accept too, but for the reasons named
in `stricter_for`. Where it raises, or answers neither yes nor no, it has no say.
"""

import json
from typing import Any

from Adyen.util import generate_notification_sig, is_valid_hmac_notification
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.webhooks.deliveries import NOW, endpoint
from webhooks.processors import Processor

KEYS = ["44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056", "ab" * 32, "74f490dd"]
ADAPTERS = {key: endpoint("adyen", key) for key in KEYS}
NAMES = ("pspReference", "originalReference", "merchantAccountCode", "merchantReference", "eventCode", "success")
TEXT = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["", ":", "\\", "\\:", "a:b", ":slashes are fun", "100%", "Größe", "💪", "true", "8900", "None"]),
)
STRANGE = st.sampled_from([None, True, 7, 1.5, 1e400, 2**70, ["x"], {"x": 1}, "\ud800", ...])
thoroughly = settings(max_examples=80)


@st.composite
def items(draw: st.DrawFn) -> dict[str, Any]:
    """One with values that may have anything in them, of the types that Adyen gives them."""
    item: dict[str, Any] = {name: draw(TEXT) for name in NAMES}
    item["amount"] = {"value": draw(st.integers(0, 10**12)), "currency": draw(TEXT)}
    item["additionalData"] = {"cardSummary": draw(TEXT)}
    if draw(st.booleans()):
        del item["originalReference"]
    return item


def spoilt(data: st.DataObject, item: dict[str, Any]) -> dict[str, Any]:
    """The item, at times with a value that is not of its type or not there."""
    if data.draw(st.sampled_from([False, False, True])):
        place = data.draw(st.sampled_from([*NAMES, "value", "currency", "amount", "additionalData"]))
        holder = item["amount"] if place in {"value", "currency"} else item
        holder[place] = data.draw(STRANGE)
        if holder[place] is ...:
            del holder[place]
    return item


def delivery(*signed: dict[str, Any]) -> bytes:
    wrapped = [{"NotificationRequestItem": item} for item in signed]
    return json.dumps({"live": "false", "notificationItems": wrapped}).encode()


def theirs(item: dict[str, Any], key: str) -> bool | None:
    try:
        valid: bool | None = is_valid_hmac_notification({"notificationItems": [{"NotificationRequestItem": item}]}, key)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return None
    return valid


def compare(key: str, *signed: dict[str, Any]) -> None:
    body = delivery(*signed)
    we = ADAPTERS[key].verify(body, {}, NOW) is None
    they = [theirs(item["NotificationRequestItem"], key) for item in json.loads(body)["notificationItems"]]
    if all(they) and not we:
        assert any(map(stricter_for, signed)), signed
    assert not we or False not in they or any(map(_with_null, signed)), signed


def stricter_for(item: dict[str, Any]) -> str | None:
    amount = item.get("amount") or {}
    values = [*map(item.get, NAMES), amount.get("value"), amount.get("currency")]
    if not all(value is None or type(value) in {str, int} for value in values):
        return "a signed value that is neither text nor a whole number"
    if _with_null(item):
        return "null, which is signed as nothing; the library signs the word None"
    return None


def _with_null(item: dict[str, Any]) -> bool:
    """Adyen's other libraries sign null as nothing, as we do."""
    values = {**item, **(item.get("amount") or {})}
    return any(values.get(name, "") is None for name in (*NAMES, "value", "currency"))


class TestAdyen:
    @thoroughly
    @given(st.data())
    def test_against_the_library(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(KEYS))
        signed = []
        for item in data.draw(st.lists(items(), min_size=1, max_size=3)):
            whole = spoilt(data, item)
            signer = data.draw(st.sampled_from([key, key, key, *KEYS]))
            try:
                signature = generate_notification_sig(whole, signer).decode()
            except (AttributeError, KeyError, TypeError, ValueError):
                signature = data.draw(TEXT)
            if isinstance(whole.get("additionalData"), dict):
                edited = st.sampled_from(
                    [signature] * 6 + [signature[:-1], signature + "=", signature.lower(), "", "é"]
                )
                whole["additionalData"]["hmacSignature"] = data.draw(edited)
            signed.append(whole if data.draw(st.sampled_from([True] * 5 + [False])) else spoilt(data, whole))
        compare(key, *signed)

    @thoroughly
    @given(items(), st.sampled_from(KEYS))
    def test_we_sign_as_the_library_does(self, item: dict[str, Any], key: str) -> None:
        signature = generate_notification_sig(item, key).decode()
        assert self.signature(ADAPTERS[key], item) == signature

    @thoroughly
    @given(items(), st.sampled_from(KEYS))
    def test_a_good_one_is_good_to_both(self, item: dict[str, Any], key: str) -> None:
        item["additionalData"]["hmacSignature"] = self.signature(ADAPTERS[key], item)
        assert theirs(item, key)
        assert ADAPTERS[key].verify(delivery(item), {}, NOW) is None

    def test_a_null_is_signed_as_nothing(self) -> None:
        item: dict[str, Any] = dict.fromkeys(NAMES, "x") | {"amount": {"value": 1, "currency": "USD"}}
        item["originalReference"] = None
        signature = self.signature(ADAPTERS[KEYS[0]], item)
        assert signature == generate_notification_sig(item | {"originalReference": ""}, KEYS[0]).decode()
        assert signature != generate_notification_sig(item, KEYS[0]).decode()

    def signature(self, on: Processor, item: dict[str, Any]) -> str:
        (wrapped,) = json.loads(on.sign(delivery(item), NOW).body)["notificationItems"]
        return str(wrapped["NotificationRequestItem"]["additionalData"]["hmacSignature"])


def test_the_library_looks_at_the_first_item_of_a_batch_only() -> None:
    # What the comparison by items is for: with a second one forged, it still says yes.
    key = KEYS[0]
    item: dict[str, Any] = dict.fromkeys(NAMES, "x") | {"amount": {"value": 1, "currency": "USD"}}
    good = json.loads(ADAPTERS[key].sign(delivery(item), NOW).body)["notificationItems"][0]["NotificationRequestItem"]
    forged = good | {"amount": {"value": 999_900, "currency": "USD"}}
    assert is_valid_hmac_notification(json.loads(delivery(good, forged)), key)
    assert ADAPTERS[key].verify(delivery(good, forged), {}, NOW) is not None


def test_the_library_takes_an_empty_key() -> None:
    # With which anyone can sign; our endpoints cannot be set up with one.
    item: dict[str, Any] = dict.fromkeys(NAMES, "x") | {"amount": {"value": 1, "currency": "USD"}}
    item["additionalData"] = {"hmacSignature": generate_notification_sig(item, "").decode()}
    assert theirs(item, "")
    for adapter in ADAPTERS.values():
        assert adapter.verify(delivery(item), {}, NOW) is not None
