"""Our verifier and splitter against gocardless_pro's.

What we accept, it accepts. What it accepts, we accept too, but for the reason named in
`stricter_for`. Where it raises something else than its own refusal, it has no say.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping

import pytest
from gocardless_pro import webhooks
from gocardless_pro.errors import InvalidSignatureError
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.webhooks.deliveries import NOW, endpoint, received, recorded

KEYS = ["secret", "other", "ED7D658C-D8EB-4941-948B-3973214F2D49", "é"]
EVENT = '{"id": "EV1", "resource_type": "payments", "action": "failed"}'
BODIES = st.one_of(st.text(max_size=40), st.sampled_from(['{"events": []}', f'{{"events": [{EVENT}]}}']))
thoroughly = hypothesis_settings(max_examples=80)


def ours(body: bytes, header: str | None, key: str) -> bool:
    headers: Mapping[str, str] = {} if header is None else {"Webhook-Signature": header}
    return endpoint("gocardless", key).verify(body, received(headers), NOW) is None


def theirs(body: bytes, header: str | None, key: str) -> bool | None:
    try:
        # What its `parse` begins with, apart from the reading of the body.
        webhooks._verify_signature(body, key, header)
    except InvalidSignatureError:
        return False
    except TypeError:
        return None
    return True


def compare(body: bytes, header: str | None, key: str) -> None:
    we, they = ours(body, header, key), theirs(body, header, key)
    if they and not we:
        assert stricter_for(key)
    assert not we or they is not False, header


def stricter_for(key: str) -> str | None:
    return "an empty secret, which lets anyone sign" if not key else None


@thoroughly
@given(st.data())
def test_against_the_library(data: st.DataObject) -> None:
    body = data.draw(BODIES).encode(errors="ignore")
    key = data.draw(st.sampled_from(["", *KEYS]))
    signer = data.draw(st.sampled_from([key, key, *KEYS]))
    header = hmac.digest(signer.encode(), body, hashlib.sha256).hex()
    how = data.draw(st.sampled_from(["same"] * 4 + ["cut", "put", "swap", "upper", "twice", "missing"]))
    place = data.draw(st.integers(0, 63))
    new = data.draw(st.sampled_from([*" ,=a0A", "é"]))
    compare(
        body,
        {
            "same": header,
            "cut": header[:place] + header[place + 1 :],
            "put": header[:place] + new + header[place:],
            "swap": header[:place] + new + header[place + 1 :],
            "upper": header.upper(),
            "twice": f"{header},{header}",
            "missing": None,
        }[how],
        key,
    )


@example("")
@example("{signature}")
@example("sha256={signature}")
@example("{signature} ")
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=60))
def test_headers_of_any_shape(header: str) -> None:
    good = hmac.digest(b"secret", b"{}", hashlib.sha256).hex()
    compare(b"{}", header.replace("{signature}", good), "secret")


@given(BODIES, st.sampled_from(KEYS))
def test_what_we_sign_is_good_to_both(text: str, key: str) -> None:
    body = text.encode(errors="ignore")
    (header,) = endpoint("gocardless", key).sign(body, NOW).headers.values()
    assert ours(body, header, key)
    assert theirs(body, header, key)


@pytest.mark.parametrize("name", sorted(recorded("gocardless")))
def test_the_same_events_to_both(name: str) -> None:
    body, adapter = recorded("gocardless")[name], endpoint("gocardless", "secret")
    (header,) = adapter.sign(body, NOW).headers.values()
    events = [event.attributes for event in webhooks.parse(body, "secret", header)]
    parts = [part for part in adapter.parse(body, {}) if part.type != "no_events"]
    assert [json.loads(part.body) for part in parts] == events
    assert [(part.event_id, part.type) for part in parts] == [
        (event["id"], f"{event['resource_type']}.{event['action']}") for event in events
    ]


def test_the_library_accepts_an_empty_secret_and_we_do_not() -> None:
    header = hmac.digest(b"", b'{"events": []}', hashlib.sha256).hex()
    assert theirs(b'{"events": []}', header, "")
    assert not ours(b'{"events": []}', header, "")
