"""What is fetched and listed from GoCardless, over real HTTP, as the stand-in tells it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from local.standin import StandIn
from models.payments.facts import Paid, Reversed
from tests.webhooks.deliveries import PAYLOADS, changed, endpoint, recorded
from webhooks.processors import ParsedEvent, Processor, Unavailable, Unusable, gocardless, http, strict

RECORDED = recorded("gocardless")
SINGLE = sorted(RECORDED.keys() - {"batch", "no_events"})
SINCE = datetime(2026, 11, 1, tzinfo=UTC)
UNTIL = SINCE + timedelta(days=1)
ERROR = b'{"error": {"type": "%b", "code": %d, "message": "M", "errors": [{"reason": "r", "message": "N"}]}}'


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """The API, which knows one payment, one refund, and one billing request."""
    with StandIn("gocardless", tmp_path) as standin:
        for kind in ("payment", "refund", "billing_request"):
            value = json.loads((PAYLOADS / f"gocardless/resources/{kind}.json").read_text())
            standin.objects.put(f"{kind}s", value["id"], value)
        monkeypatch.setattr(gocardless, "FETCH_AGAIN_AFTER_S", (0.01,))
        monkeypatch.setattr(gocardless, "LIST_AGAIN_AFTER_S", (0.01, 0.01, 0.01))
        yield standin


def on(api: StandIn, *token: str, account: str | None = None) -> Processor:
    return endpoint("gocardless", "secret", api=api.url, api_key=token or ["token"], account=account)


def part_of(name: str, **changes: object) -> ParsedEvent:
    body = changed(RECORDED[name], **{f"events__0__{path}": value for path, value in changes.items()})
    (part,) = endpoint("gocardless", "secret").parse(body, {})
    return part


def fetched(api: StandIn, part: ParsedEvent) -> bytes:
    return on(api).fetch(part.type, part.body)


def put(api: StandIn, number: int, seconds: float = 0) -> None:
    """A confirmation that the API lists."""
    event = json.loads(part_of("payment_confirmed", id=f"EV{number:04}").body)
    made = (SINCE + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")
    api.objects.put("events", event["id"], event | {"created_at": made.replace("+00:00", "Z")})


def history(adapter: Processor, since: datetime = SINCE, until: datetime = UNTIL) -> list[ParsedEvent]:
    return list(adapter.fetch_history(since, until))


class TestFetch:
    @pytest.mark.parametrize("name", [name for name in SINGLE if part_of(name).thin])
    def test_what_every_thin_event_names(self, api: StandIn, name: str) -> None:
        part = part_of(name)
        named = strict.loads(part.body)["links"][part.type.partition(".")[0][:-1]]
        resource = strict.loads(fetched(api, part))
        assert resource["id"] == named
        kind, _, _ = part.type.partition(".")
        others = {
            "payments": ["GET /mandates/MDGym0001"],
            "refunds": [],
            "billing_requests": ["GET /payments/PMGym0001"],
        }
        assert [*api.asked] == [f"GET /{kind}/{named}", *others[kind]]

    def test_the_customer_of_the_mandate(self, api: StandIn) -> None:
        mandate = json.loads((PAYLOADS / "gocardless/resources/mandate.json").read_text())
        api.objects.put("mandates", "MDGym0001", mandate)
        part = part_of("payment_confirmed")
        paid, _ = on(api).interpret(part.type, part.body, fetched(api, part))
        assert isinstance(paid, Paid)
        assert (paid.billing_references, paid.payer) == (("SBGym0001", "MDGym0001"), ("CUGym0001",))

    @pytest.mark.parametrize("links", [None, {}, [], "x", {"customer": None}, {"customer": 7}, {"customer": "a b"}])
    def test_a_mandate_that_names_no_customer(self, api: StandIn, links: object) -> None:
        api.objects.put("mandates", "MDGym0001", {"id": "MDGym0001", "links": links})
        part = part_of("payment_confirmed")
        paid, _ = on(api).interpret(part.type, part.body, fetched(api, part))
        assert isinstance(paid, Paid)
        assert paid.payer == ()

    def test_a_mandate_that_cannot_be_asked_for_is_waited_for(self, api: StandIn) -> None:
        api.fail(0)
        api.fail(500, times=2, body=ERROR % (b"gocardless", 500))
        with pytest.raises(Unavailable, match="error of its own"):
            fetched(api, part_of("payment_confirmed"))

    def test_a_billing_request_is_fetched_with_its_payment_and_without_the_customers_data(self, api: StandIn) -> None:
        told = json.loads((PAYLOADS / "gocardless/resources/billing_request.json").read_text())
        payment = told.pop("payment")
        api.objects.put("billing_requests", "BRQGym0001", told | {"resources": {"customer": {"email": "x@y.example"}}})
        api.objects.put("payments", "PMGym0001", payment)
        part = part_of("billing_request_fulfilled")
        assert json.loads(fetched(api, part)) == told | {"payment": payment}

    def test_as_written(self, api: StandIn) -> None:
        body = b'{"payments": {"id": "PMGym0001", "amount": 8900.10, "metadata": {"a": "Z\xc3\xbcrich"}}}'
        api.fail(200, body=body)
        assert fetched(api, part_of("payment_confirmed")) == body[13:-1].replace(b": ", b":").replace(b", ", b",")

    def test_of_no_such_id(self, api: StandIn) -> None:
        with pytest.raises(LookupError, match=r"GET /payments/PMGym0009: Resource not found"):
            fetched(api, part_of("payment_confirmed", links__payment="PMGym0009"))
        assert len(api.asked) == 1

    @pytest.mark.parametrize("status", [401, 403])
    @pytest.mark.parametrize("kind", [b"invalid_api_usage", b"new_type"])
    def test_a_token_that_is_refused(self, api: StandIn, status: int, kind: bytes) -> None:
        api.fail(status, body=ERROR % (kind, status))
        with pytest.raises(
            Unavailable, match=r"put a read-only access token of the test mode into SPP_API_KEY_GOCARDLESS"
        ):
            fetched(api, part_of("payment_confirmed"))
        assert len(api.asked) == 1

    @pytest.mark.parametrize("words", [(), ("one", "two")])
    def test_no_token_or_two(self, api: StandIn, words: tuple[str, ...]) -> None:
        adapter = endpoint("gocardless", "secret", api=api.url, api_key=words)
        with pytest.raises(Unavailable, match=r"put a read-only access token into SPP_API_KEY_GOCARDLESS"):
            adapter.fetch("payments.confirmed", part_of("payment_confirmed").body)
        assert not api.asked

    @pytest.mark.parametrize(
        ("status", "body", "why"),
        [
            (429, ERROR % (b"invalid_api_usage", 429), "429"),
            (500, ERROR % (b"gocardless", 500), "error of its own"),
            (502, b"<html>", "502"),
            (503, b"", "503"),
            (200, b"<html>", "200 and no JSON"),
        ],
    )
    def test_what_may_be_over_in_a_moment(self, api: StandIn, status: int, body: bytes, why: str) -> None:
        part = part_of("payment_confirmed")
        api.fail(status, body=body)
        assert json.loads(fetched(api, part))["id"] == "PMGym0001", "once more is tried"
        api.asked.clear()
        api.fail(status, times=2, body=body)
        with pytest.raises(Unavailable, match=why) as refused:
            fetched(api, part)
        assert len(str(refused.value)) < 300
        assert len(api.asked) == 2

    def test_no_answer_in_time(self, api: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(http, "TIMEOUT_S", (0.2, 0.2))
        with api.held(), pytest.raises(Unavailable, match="does not answer"):
            fetched(api, part_of("payment_confirmed"))

    def test_nobody_there(self) -> None:
        adapter = endpoint("gocardless", "secret", api="http://127.0.0.1:9", api_key=["token"])
        with pytest.raises(Unavailable, match="does not answer"):
            adapter.fetch("payments.confirmed", part_of("payment_confirmed").body)

    def test_bounded_in_all(self) -> None:
        tries = 1 + len(gocardless.FETCH_AGAIN_AFTER_S)
        assert 2 * (tries * sum(http.TIMEOUT_S) + sum(gocardless.FETCH_AGAIN_AFTER_S)) < 60

    @pytest.mark.parametrize(
        "body",
        [
            *(b"null", b"[]", b"7", b'{"payments": {}, "payments": {}}', b'{"payments": {"id": "PMGym0001", "amount"'),
            *(b'{"payments": {"id": "PMGym0001", "amount": NaN}}', b'\xff{"payments": {"id": "PMGym0001"}}'),
        ],
    )
    def test_an_answer_that_cannot_be_read_is_none(self, api: StandIn, body: bytes) -> None:
        api.fail(200, times=2, body=body)
        with pytest.raises(Unavailable, match=r"cannot be read|no JSON"):
            fetched(api, part_of("payment_confirmed"))

    @pytest.mark.parametrize(
        "body",
        [
            *(b'{"refunds": {"id": "RF1"}}', b'{"payments": []}', b'{"payments": {}}', b'{"payments": {"id": 7}}'),
            *(b'{"payments": {"id": "PMGym0002"}}', b'{"payments": null}', b"{}"),
        ],
    )
    def test_an_answer_about_something_else_is_none(self, api: StandIn, body: bytes) -> None:
        api.fail(200, body=body)
        with pytest.raises(Unavailable, match="was asked for PMGym0001"):
            fetched(api, part_of("payment_confirmed"))

    @pytest.mark.parametrize("status", [500, 502, 504])
    def test_an_error_in_json_from_something_before_gocardless(self, api: StandIn, status: int) -> None:
        api.fail(status, times=2, body=b'{"error": "upstream request timeout"}')
        with pytest.raises(Unavailable, match=str(status)):
            fetched(api, part_of("payment_confirmed"))

    @pytest.mark.parametrize(
        "body",
        [
            b'{"error": {"type": "new"}}',
            b'{"error": {"type": "validation_failed", "message": "M", "errors": [{"field": "x"}]}}',
            ERROR % (b"invalid_api_usage", 400),
        ],
    )
    def test_an_error_of_this_event_alone(self, api: StandIn, body: bytes) -> None:
        api.fail(422, body=body)
        with pytest.raises(LookupError, match="has no answer to GET /payments/PMGym0001"):
            fetched(api, part_of("payment_confirmed"))

    def test_the_environment_of_the_endpoints_mode(self) -> None:
        addresses = {"live": "https://api.gocardless.com", "test": "https://api-sandbox.gocardless.com"}
        assert gocardless.GoCardless.api == addresses


class TestListed:
    def test_what_is_listed_is_what_was_delivered(self, api: StandIn) -> None:
        adapter, parts = on(api), [part_of(name) for name in SINGLE]
        for part in parts:
            api.objects.put("events", part.event_id, json.loads(part.body))
        found = {part.event_id: part for part in history(adapter, SINCE, SINCE + timedelta(days=30))}
        assert found.keys() == {part.event_id for part in parts}
        for part in parts:
            assert found[part.event_id]._replace(body=part.body) == part
            assert adapter.same_content(part.body, found[part.event_id].body)

    @pytest.mark.parametrize(("count", "pages"), [(0, 1), (1, 1), (500, 1), (501, 2), (1001, 3)])
    def test_page_by_page_the_newest_first(self, api: StandIn, count: int, pages: int) -> None:
        for number in range(count):
            put(api, number, number)
        assert [part.event_id for part in history(on(api))] == [f"EV{number:04}" for number in reversed(range(count))]
        assert len(api.asked) == pages

    def test_from_one_moment_to_before_another(self, api: StandIn) -> None:
        for number, seconds in enumerate((-0.001, 0, 43_200, 86_399.999, 86_400)):
            put(api, number, seconds)
        assert [part.event_id for part in history(on(api))] == ["EV0003", "EV0002", "EV0001"]
        window = {"created_at[gte]": ["2026-11-01T00:00:00.000Z"], "created_at[lt]": ["2026-11-02T00:00:00.000Z"]}
        assert parse_qs(urlsplit(api.asked[0]).query) == {**window, "limit": ["500"]}
        noon = SINCE + timedelta(hours=12, microseconds=700)
        found = [part.event_id for window in ((SINCE, noon), (noon, UNTIL)) for part in history(on(api), *window)]
        assert sorted(found) == ["EV0001", "EV0002", "EV0003"]

    def test_of_an_app_for_one_organisation(self, api: StandIn) -> None:
        put(api, 1)
        adapter = on(api, account="OR1")
        (part,) = history(adapter)
        delivered = part_of("payment_confirmed", id="EV0001", created_at="2026-11-01T00:00:00.000Z")
        assert not adapter.same_content(delivered.body, part.body)
        named = json.loads(delivered.body)
        named["links"]["organisation"] = "OR1"
        assert adapter.same_content(json.dumps(named).encode(), part.body)
        assert isinstance(adapter.interpret(part.type, part.body, adapter.fetch(part.type, part.body))[0], Paid)

    def test_an_organisation_that_is_named_stays(self, api: StandIn) -> None:
        event = json.loads(part_of("payment_failed", links__organisation="OR2").body)
        api.fail(200, body=json.dumps({"events": [event], "meta": {}}).encode())
        (part,) = history(on(api, account="OR1"))
        with pytest.raises(Unusable, match="OR2"):
            on(api, account="OR1").interpret(part.type, part.body)

    def test_one_that_cannot_be_read_harms_no_other(self, api: StandIn) -> None:
        event = json.loads(part_of("payment_failed").body)
        api.fail(200, body=json.dumps({"events": [7, event, {"id": "EV1", "links": 1}], "meta": {}}).encode())
        first, part, last = history(on(api, account="OR1"))
        assert first.quarantine_reason
        assert last.quarantine_reason
        assert isinstance(on(api, account="OR1").interpret(part.type, part.body)[0], Reversed)

    def test_a_rate_limit_is_waited_for(self, api: StandIn) -> None:
        put(api, 1)
        api.fail(429, times=3, body=ERROR % (b"invalid_api_usage", 429))
        assert [part.event_id for part in history(on(api))] == ["EV0001"]
        api.fail(429, times=4, body=ERROR % (b"invalid_api_usage", 429))
        with pytest.raises(Unavailable, match="429"):
            history(on(api))

    def test_the_wait_is_longer_than_a_minute_in_all(self) -> None:
        assert sum(gocardless.LIST_AGAIN_AFTER_S) >= 60
        assert max(gocardless.LIST_AGAIN_AFTER_S) <= 60

    def test_an_error_on_a_later_page(self, api: StandIn) -> None:
        for number in range(501):
            put(api, number)
        found = on(api).fetch_history(SINCE, UNTIL)
        assert len([next(found) for _ in range(500)]) == 500
        assert len(api.asked) == 1
        api.fail(401, body=ERROR % (b"invalid_api_usage", 401))
        with pytest.raises(Unavailable, match="refuses the API key"):
            next(found)

    def test_a_cursor_that_leads_nowhere(self, api: StandIn) -> None:
        body = json.dumps({"events": [], "meta": {"cursors": {"after": "EV1"}}}).encode()
        api.fail(200, times=2, body=body)
        assert history(on(api)) == []
        assert len(api.asked) == 2

    @pytest.mark.parametrize("body", [b"{}", b'{"events": {}}', b"[]", b'{"events": [], "meta": 7}'])
    def test_an_answer_that_is_none(self, api: StandIn, body: bytes) -> None:
        api.fail(200, times=4, body=body)
        with pytest.raises(Unavailable):
            history(on(api))
