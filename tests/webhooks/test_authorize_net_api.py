"""Authorize.Net's transaction details, over real HTTP, as the stand-in tells them."""

import json
import shutil
from codecs import BOM_UTF8
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from local import samples
from local.standin import StandIn
from models.facts import Paid
from tests.webhooks.deliveries import PAYLOADS, changed, endpoint, recorded
from webhooks.processors import Processor, Unavailable, Unusable, http

KEY = "52CB4A002C634B84E397DC8A218E1A160BA7CAB7CBE4C05B35E9CBB05E14FE4A" * 2
RECORDED = recorded("authorize_net")
DETAILS = {file.stem: json.loads(file.read_bytes()) for file in (PAYLOADS / "authorize_net/resources").glob("*.json")}
BODY, TYPE = RECORDED["authcapture_created"], "net.authorize.payment.authcapture.created"
WHOLE = DETAILS["authcapture_created"] | {
    "settleAmount": 89.0,
    "transactionStatus": "settledSuccessfully",
    "billTo": {"firstName": "Ellen", "lastName": "Johnson", "address": "14 Main Street"},
    "payment": {"creditCard": {"cardNumber": "XXXX1111", "expirationDate": "XXXX"}},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[StandIn, Path]]:
    folder = tmp_path_factory.mktemp("api")
    with StandIn("authorize_net", folder) as standin:
        yield standin, folder


@pytest.fixture
def api(server: tuple[StandIn, Path]) -> StandIn:
    """One server for all, which knows one transaction and was asked nothing yet."""
    standin, folder = server
    shutil.rmtree(folder / "authorize_net", ignore_errors=True)
    standin.objects.put("transactions", "60020980001", WHOLE)
    standin.asked.clear()
    return standin


def on(api: StandIn, *api_key: str) -> Processor:
    return endpoint("authorize_net", KEY, api=api.url, api_key=api_key or ("login_1", "key_1"))


def answer(code: str, text: str = "Sorry.") -> bytes:
    return (
        BOM_UTF8 + json.dumps({"messages": {"resultCode": "Error", "message": [{"code": code, "text": text}]}}).encode()
    )


def test_what_is_fetched_is_what_is_interpreted(api: StandIn) -> None:
    adapter = on(api)
    details = adapter.fetch(TYPE, BODY)
    assert api.asked == type(api.asked)(["POST /xml/v1/request.api"])
    recorded_details = json.dumps(DETAILS["authcapture_created"]).encode()
    assert adapter.interpret(TYPE, BODY, details) == adapter.interpret(TYPE, BODY, recorded_details)


def test_names_addresses_and_cards_are_not_kept(api: StandIn) -> None:
    assert json.loads(on(api).fetch(TYPE, BODY)) == DETAILS["authcapture_created"] | {"settleAmount": "89.0"}


@pytest.mark.parametrize("amount", ["89.00", "1018.88", "0.1", "123456789012.34"])
def test_amounts_stay_what_they_are(api: StandIn, amount: str) -> None:
    text = json.dumps({"transaction": {"transId": "60020980001"}, "messages": {"resultCode": "Ok"}})
    text = text.replace('"transId"', f'"settleAmount": {amount}, "transId"')
    api.fail(200, body=BOM_UTF8 + text.encode())
    assert json.loads(on(api).fetch(TYPE, BODY))["settleAmount"] == amount


def test_without_a_byte_order_mark(api: StandIn) -> None:
    api.fail(200, body=json.dumps({"transaction": WHOLE, "messages": {"resultCode": "Ok"}}).encode())
    assert json.loads(on(api).fetch(TYPE, BODY))["transId"] == "60020980001"


@pytest.mark.parametrize("name", ["paid", "refunded", "late_failure"])
def test_samples(api: StandIn, name: str) -> None:
    adapter = on(api)
    told = samples.sample(
        "authorize_net", name, reference="sub_1", number="7", now=datetime(2026, 11, 1, 9, tzinfo=UTC)
    )
    facts = []
    for content, objects in told:
        for (kind, id_), value in objects.items():
            api.objects.put(kind, id_, value)
        (part,) = adapter.split(content, {})
        facts += adapter.interpret(part.type, part.body, adapter.fetch(part.type, part.body))
    assert isinstance(facts[0], Paid)
    assert facts[0].billing_references == ("sub_1", "18117")
    assert {fact.payment for fact in facts} == {"600207"}


def test_not_found_concerns_this_event_alone(api: StandIn) -> None:
    with pytest.raises(LookupError, match="E00040: The record cannot be found"):
        on(api).fetch(TYPE, changed(BODY, payload__id="60020989999"))


def test_another_transaction(api: StandIn) -> None:
    api.objects.put("transactions", "60020980001", WHOLE | {"transId": "60020980002"})
    with pytest.raises(LookupError, match="another transaction"):
        on(api).fetch(TYPE, BODY)


@pytest.mark.parametrize("payload", [None, {}, {"id": 7}, {"id": "a b"}, "text"])
def test_an_event_without_a_transaction_asks_nothing(api: StandIn, payload: Any) -> None:
    with pytest.raises(Unusable):
        on(api).fetch(TYPE, changed(BODY, payload=payload))
    assert not api.asked


@pytest.mark.parametrize("code", ["E00005", "E00007", "E00010", "E00011"])
def test_a_key_without_access(api: StandIn, code: str) -> None:
    api.fail(200, body=answer(code, "User authentication failed."))
    with pytest.raises(Unavailable, match=f"no access .{code}: User authentication failed.*SPP_API_KEY_AUTHORIZE_NET"):
        on(api).fetch(TYPE, BODY)


@pytest.mark.parametrize("api_key", [(), ("login_1",), ("login_1", "key_1", "key_2")])
def test_no_key(api: StandIn, api_key: tuple[str, ...]) -> None:
    adapter = endpoint("authorize_net", KEY, api=api.url, api_key=api_key)
    with pytest.raises(Unavailable, match=r"API login ID and the transaction key.*SPP_API_KEY_AUTHORIZE_NET"):
        adapter.fetch(TYPE, BODY)
    assert not api.asked


@pytest.mark.parametrize("code", ["E00001", "E00053", "E00104"])
def test_an_api_that_is_busy(api: StandIn, code: str) -> None:
    api.fail(200, body=answer(code, "Please try again."))
    with pytest.raises(Unavailable, match=f"{code}: Please try again"):
        on(api).fetch(TYPE, BODY)


@pytest.mark.parametrize("status", [401, 403, 429, 500])
def test_an_api_that_is_unavailable(api: StandIn, status: int) -> None:
    api.fail(status)
    with pytest.raises(Unavailable, match=str(status)) as refused:
        on(api).fetch(TYPE, BODY)
    assert ("SPP_API_KEY_AUTHORIZE_NET" in str(refused.value)) is (status < 429)
    assert len(api.asked) == 1


def test_a_short_outage(api: StandIn) -> None:
    api.fail(503, times=2)
    assert on(api).fetch(TYPE, BODY)
    api.fail(503, times=3)
    with pytest.raises(Unavailable):
        on(api).fetch(TYPE, BODY)


def test_a_time_out(api: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "TIMEOUT_S", (1.0, 0.1))
    api.fail(0, times=3, delay_s=0.3)
    with pytest.raises(Unavailable, match="does not answer"):
        on(api).fetch(TYPE, BODY)


def test_nobody_answers() -> None:
    adapter = endpoint("authorize_net", KEY, api="http://127.0.0.1:9", api_key=("login_1", "key_1"))
    with pytest.raises(Unavailable, match="does not answer"):
        adapter.fetch(TYPE, BODY)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"<html>", b"\xff", b"null", b"[]", b"{}", b"[" * 9_000, BOM_UTF8, BOM_UTF8 * 2 + b"{}"),
        *(b'{"messages": 1}', b'{"messages": {"resultCode": "Ok"}}', b'{"messages": {"resultCode": "OK"}}'),
        b'{"messages": {"resultCode": "Ok"}, "transaction": [1]}',
        b'{"messages": {"resultCode": "Error", "message": [1]}}',
        answer("E99999", "x" * 5_000),
        answer("\x00", "\ud800"),
    ],
)
def test_an_answer_that_is_none_concerns_this_event_alone(api: StandIn, body: bytes) -> None:
    for mark in (b"", BOM_UTF8):
        api.fail(200, body=mark + body.removeprefix(mark))
        with pytest.raises(LookupError) as refused:
            on(api).fetch(TYPE, BODY)
        assert len(str(refused.value)) < 400


def test_the_key_is_in_no_message(api: StandIn) -> None:
    for body in (answer("E00007"), answer("E00040"), b"<html>"):
        api.fail(200, body=body)
        with pytest.raises((Unavailable, LookupError)) as refused:
            on(api, "login_secret", "key_secret").fetch(TYPE, BODY)
        assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("mode", "host"), [("live", "https://api.authorize.net"), ("test", "https://apitest.authorize.net")]
)
def test_where_the_api_is(mode: Any, host: str) -> None:
    assert endpoint("authorize_net", KEY, mode=mode)._api == host  # type: ignore[attr-defined]
