"""Authorize.Net's transaction details and lists of batches, over real HTTP, as the stand-in tells them."""

import json
from codecs import BOM_UTF8
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from local import samples
from local.standin import StandIn
from models.payments.facts import Paid, Reversed
from tests.webhooks.deliveries import PAYLOADS, changed, endpoint, recorded
from webhooks.processors import Ignored, ParsedEvent, Processor, Unavailable, Unusable, authorize_net, http

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


@pytest.fixture
def api(tmp_path: Path) -> Iterator[StandIn]:
    """The API, which knows one transaction."""
    with StandIn("authorize_net", tmp_path) as standin:
        standin.objects.put("transactions", "60020980001", WHOLE)
        yield standin


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
    assert json.loads(on(api).fetch(TYPE, BODY)) == DETAILS["authcapture_created"] | {
        "settleAmount": "89.0",
        "transactionStatus": "settledSuccessfully",
    }


def test_of_the_customer_and_the_order_only_what_names_them_is_kept(api: StandIn) -> None:
    customer = {"id": "m-1", "email": "x@example.com", "type": "individual", "taxId": "123-45-6789"}
    order = {"invoiceNumber": "SUB-77", "description": "Dues", "discountAmount": 0.0}
    api.objects.put("transactions", "60020980001", WHOLE | {"customer": customer, "order": order})
    kept = json.loads(on(api).fetch(TYPE, BODY))
    assert kept["customer"] == {"id": "m-1", "email": "x@example.com"}
    assert kept["order"] == {"invoiceNumber": "SUB-77", "description": "Dues"}
    api.objects.put("transactions", "60020980001", WHOLE | {"customer": "text", "order": None})
    assert not {"customer", "order"} & json.loads(on(api).fetch(TYPE, BODY)).keys()


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
        (part,) = adapter.parse(content, {})
        facts += adapter.interpret(part.type, part.body, adapter.fetch(part.type, part.body))
    assert isinstance(facts[0], Paid)
    assert (facts[0].billing_references, facts[0].payer) == (("sub_1",), ("18117",))
    assert {fact.payment for fact in facts} == {"600207"}


def test_not_found_concerns_this_event_alone(api: StandIn) -> None:
    with pytest.raises(LookupError, match="E00040: The record cannot be found"):
        on(api).fetch(TYPE, changed(BODY, payload__id="60020989999"))


@pytest.mark.parametrize("told", ["60020980002", None, 60020980001, ["60020980001"]])
def test_another_transaction_is_no_answer(api: StandIn, told: object) -> None:
    api.objects.put("transactions", "60020980001", WHOLE | {"transId": told})
    with pytest.raises(Unavailable, match="was asked for 60020980001"):
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
    with api.held(), pytest.raises(Unavailable, match="does not answer"):
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
        b'{"messages": {"resultCode": "Error"}}',
        b'{"messages": {"resultCode": "Ok"}, "transaction": {"transId": NaN}}',
        answer("\x00", "\ud800"),
    ],
)
def test_an_answer_that_is_not_their_word_is_none(api: StandIn, body: bytes) -> None:
    for mark in (b"", BOM_UTF8):
        api.fail(200, body=mark + body.removeprefix(mark))
        with pytest.raises(Unavailable) as refused:
            on(api).fetch(TYPE, BODY)
        assert len(str(refused.value)) < 400


def test_an_error_that_we_do_not_know_concerns_this_event_alone(api: StandIn) -> None:
    api.fail(200, body=answer("E99999", "x" * 5_000))
    with pytest.raises(LookupError, match="E99999") as refused:
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
    assert endpoint("authorize_net", KEY, mode=mode).api_address == host


START, END = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 3, tzinfo=UTC)
NOTHING = {"messages": {"resultCode": "Ok", "message": [{"code": "I00004", "text": "No records found."}]}}


def settled(api: StandIn, batch: str, *transactions: dict[str, Any], day: int = 2, **changes: Any) -> None:
    """The API tells of a batch that settled on that day of November, with these transactions."""
    told = {"batchId": batch, "settlementTimeUTC": f"2026-11-{day:02}T04:10:00Z", "paymentMethod": "eCheck"}
    api.objects.put("batches", batch, told | {"settlementState": "settledSuccessfully"} | changes)
    for transaction in transactions:
        api.objects.put("transactions", transaction["transId"], transaction | {"batch": told})


def transaction(number: int, status: str = "settledSuccessfully", **changes: Any) -> dict[str, Any]:
    submitted = {"submitTimeUTC": "2026-11-01T10:00:09.757Z", "transactionStatus": status, "settleAmount": 89.0}
    member = {"subscription": {"id": 4415473, "payNum": 3}, "firstName": "Ellen"}
    return {"transId": str(number), **submitted, **member, **changes}


def history(api: StandIn, since: datetime = START, until: datetime = END) -> list[ParsedEvent]:
    return list(on(api).fetch_history(since, until))


class TestListed:
    def test_a_payment_is_told_whole(self, api: StandIn) -> None:
        settled(api, "7", transaction(60020980002))
        (part,) = history(api)
        assert part[:2] == ("backfill:60020980002:settledSuccessfully:7", "transaction_listed.settledSuccessfully")
        assert not part.thin
        at = datetime(2026, 11, 1, 10, 0, 9, 757000, tzinfo=UTC)
        assert on(api).interpret(part.type, part.body) == [Paid("60020980002", at, 8900, "USD", ("4415473",))]
        assert b"Ellen" not in part.body

    def test_a_plain_sale_is_fetched_for_its_customer(self, api: StandIn) -> None:
        sale = {"subscription": None, "customer": {"id": "m-1"}, "transactionStatus": "settledSuccessfully"}
        settled(api, "7", transaction(60020980001, "settledSuccessfully") | sale)
        (part,) = history(api)
        assert part.thin
        adapter = on(api)
        listed = adapter.interpret(part.type, part.body, adapter.fetch(part.type, part.body))
        told = adapter.interpret(TYPE, BODY, adapter.fetch(TYPE, BODY))
        for fact in (*listed, *told):
            assert isinstance(fact, Paid)
            assert (fact.payment, fact.amount_minor, fact.billing_references, fact.payer) == (
                "60020980001",
                8900,
                (),
                ("m-1",),
            )
        with pytest.raises(Ignored, match="names nobody"):
            adapter.interpret(part.type, part.body)

    @pytest.mark.parametrize("status", ["returnedItem", "refundSettledSuccessfully", "voided", "chargeback"])
    def test_what_the_list_does_not_tell_is_fetched(self, api: StandIn, status: str) -> None:
        settled(api, "7", transaction(60020980002, status, refTransId="60020980001"))
        (part,) = history(api)
        assert part.thin
        adapter = on(api)
        (fact,) = adapter.interpret(part.type, part.body, adapter.fetch(part.type, part.body))
        assert isinstance(fact, Reversed)
        assert fact.payment == ("60020980002" if status == "voided" else "60020980001")
        assert fact.occurred_at == datetime(2026, 11, 2, 4, 10, tzinfo=UTC)

    def test_it_is_the_same_each_time_whatever_happened_since(self, api: StandIn) -> None:
        settled(api, "7", transaction(1))
        first = history(api)
        api.objects.put("transactions", "1", api.objects.get("transactions", "1") | {"hasReturnedItems": True})
        assert history(api) == first

    def test_only_what_settled_in_that_time_the_oldest_batch_first(self, api: StandIn) -> None:
        for day in (1, 2, 3):
            settled(api, str(day), transaction(10 + day), day=day)
        assert [part.event_id.split(":")[1] for part in history(api)] == ["11", "12"]
        assert [part.event_id.split(":")[1] for part in history(api, END, END + timedelta(days=1))] == ["13"]
        assert history(api, END, END) == []

    def test_times_are_asked_in_utc(self, api: StandIn) -> None:
        settled(api, "7", transaction(1))
        for since, count in (("2026-11-01T22:00:00-06:00", 1), ("2026-11-01T22:30:00-06:00", 0)):
            assert len(history(api, datetime.fromisoformat(since), END)) == count

    def test_nothing_settled(self, api: StandIn) -> None:
        assert history(api) == []
        settled(api, "7")
        assert history(api) == []

    def test_a_failed_batch_waits_for_someone_who_knows(self, api: StandIn) -> None:
        settled(api, "7", transaction(1, "settlementError"), settlementState="settlementError")
        batch, payment = history(api)
        assert (batch.event_id, batch.type) == ("backfill:batch:7", "batch_failed")
        assert "have Authorize.Net reset it" in str(batch.quarantine_reason)
        assert (payment.type, payment.quarantine_reason) == ("transaction_listed.settlementError", None)

    def test_what_settles_after_a_reset_is_another_event(self, api: StandIn) -> None:
        settled(api, "7", transaction(1, "voided"), settlementState="settlementError", day=1)
        first = history(api)
        settled(api, "8", transaction(1, "voided"))
        assert not {part.event_id for part in first} & {part.event_id for part in history(api)[1:]}

    @pytest.mark.parametrize("in_all", [0, 1, 2, 3, 4, 7])
    def test_pages(self, api: StandIn, monkeypatch: pytest.MonkeyPatch, in_all: int) -> None:
        monkeypatch.setattr(authorize_net, "PAGE", 2)
        settled(api, "7", *(transaction(10 + number) for number in range(in_all)))
        settled(api, "8", transaction(99), day=1)
        told = [part.event_id.split(":")[1] for part in history(api)]
        assert told == ["99", *(str(10 + number) for number in range(in_all))]

    def test_a_page_that_tells_nothing_new_is_the_last(self, api: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
        # As it would be where an offset counts transactions, or is not minded.
        monkeypatch.setattr(authorize_net, "PAGE", 2)
        settled(api, "7")
        batches = {"batchList": api.objects.all("batches"), **NOTHING}
        api.fail(200, body=json.dumps(batches).encode())
        page = {"transactions": [transaction(1), transaction(2)], **NOTHING}
        api.fail(200, body=json.dumps(page).encode(), times=2)
        assert len(history(api)) == 2
        assert len(api.asked) == 3

    def test_no_more_than_31_days_at_once(self, api: StandIn) -> None:
        for day in (1, 30):
            settled(api, str(day), transaction(day), day=day)
        told = {part.event_id for part in history(api, START - timedelta(days=70), START + timedelta(days=70))}
        assert told == {"backfill:1:settledSuccessfully:1", "backfill:30:settledSuccessfully:30"}

    @pytest.mark.parametrize("told", [{"transId": "a b"}, {"transId": "x" * 256}, {"transactionStatus": "a b"}])
    def test_a_transaction_without_an_id_or_status_is_in_quarantine(self, api: StandIn, told: dict[str, Any]) -> None:
        settled(api, "7")
        api.fail(200, body=json.dumps({"batchList": api.objects.all("batches"), **NOTHING}).encode())
        api.fail(200, body=json.dumps({"transactions": [transaction(1) | told], **NOTHING}).encode())
        (part,) = history(api)
        assert part.event_id.startswith("sha256:")
        assert part.quarantine_reason

    @pytest.mark.parametrize("status", [401, 403, 429, 500])
    def test_an_api_that_is_unavailable(self, api: StandIn, status: int) -> None:
        api.fail(status)
        with pytest.raises(Unavailable, match=str(status)):
            history(api)

    @pytest.mark.parametrize("code", ["E00007", "E00011", "E00053"])
    def test_an_api_that_gives_no_access_or_is_busy(self, api: StandIn, code: str) -> None:
        settled(api, "7", transaction(1))
        api.fail(0)
        api.fail(200, body=answer(code))
        with pytest.raises(Unavailable, match=code):
            history(api)

    def test_no_key(self, api: StandIn) -> None:
        adapter = endpoint("authorize_net", KEY, api=api.url)
        with pytest.raises(Unavailable, match="SPP_API_KEY_AUTHORIZE_NET"):
            list(adapter.fetch_history(START, END))

    @pytest.mark.parametrize(
        "told",
        [
            *(b"<html>", b"{}", b'{"messages": 1}', answer("E00013")),
            *(
                b'{"messages": {"resultCode": "Ok"}, "batchList": %b}' % no
                for no in (b"1", b'{"a": []}', b"[1]", b"[{}]")
            ),
        ],
    )
    def test_an_answer_that_is_none_ends_it(self, api: StandIn, told: bytes) -> None:
        api.fail(200, body=told)
        with pytest.raises((Unavailable, LookupError, Unusable)):
            history(api)

    def test_how_far_back(self, api: StandIn) -> None:
        assert on(api).horizon == timedelta(days=730)
