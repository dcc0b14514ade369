"""Braintree's search, over real HTTP, as the stand-in tells it and the official library asks for it."""

import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from local.samples import sample
from local.standin import StandIn
from models.payments.facts import Fact, Line, Paid, Restored, Reversed
from tests.models.payments.entitled import Terms, entitlement
from tests.webhooks.deliveries import PAYLOADS, endpoint
from webhooks.processors import Ignored, ParsedEvent, Processor, Unavailable, http
from webhooks.processors import braintree_api as ours

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # the library warns of its own constants
    import braintree

SINCE = datetime(2026, 11, 1, tzinfo=UTC)
UNTIL = SINCE + timedelta(days=1)
SEARCHES = 4


@pytest.fixture
def api(tmp_path: Path) -> Iterator[StandIn]:
    """The API, which knows nothing."""
    with StandIn("braintree", tmp_path) as standin:
        yield standin


def on(api: StandIn, account: str | None = None, key: tuple[str, ...] = ("gym", "public", "private")) -> Processor:
    return endpoint("braintree", "public:private", api=api.url, api_key=key, account=account)


def put(api: StandIn, id: str = "tx_1", at: str = "2026-11-01T09:00:00Z", **more: Any) -> None:
    """A charge of a subscription, made on its billing day and settled, unless it is said otherwise."""
    charge: dict[str, Any] = {
        "id": id,
        "type": "sale",
        "status": "settled",
        "amount": "89.00",
        "currency_iso_code": "USD",
        "merchant_account_id": "gym_usd",
        "created_at": at,
        "updated_at": at,
        "subscription_id": "sub_1",
        "refunded_transaction_id": None,
        "customer": {"id": "cus_1"},
        "subscription": {"billing_period_start_date": at[:10]},
        "status_history": [{"status": "submitted_for_settlement", "timestamp": at, "amount": "89.00"}],
    }
    api.objects.put("transactions", id, charge | more)


def reached(status: str, at: str) -> dict[str, Any]:
    return {"status": status, "status_history": [{"status": status, "timestamp": at, "amount": "89.00"}]}


def history(adapter: Processor, since: datetime = SINCE, until: datetime = UNTIL) -> list[ParsedEvent]:
    return list(adapter.fetch_history(since, until))


def meanings(adapter: Processor, parts: list[ParsedEvent]) -> list[Fact | str]:
    said: list[Fact | str] = []
    for part in parts:
        try:
            said += adapter.interpret(part.type, part.body)
        except Ignored as why:
            said.append(str(why))
    return said


def test_a_charge(api: StandIn) -> None:
    put(api)
    (part,) = history(on(api))
    assert (part.event_id, part.type, part.quarantine_reason) == ("backfill:tx_1:settled", "transaction_listed", None)
    at = datetime(2026, 11, 1, 9, tzinfo=UTC)
    assert meanings(on(api), [part]) == [Paid("tx_1", at, 8900, "USD", ("sub_1",), ("cus_1",))]


def test_listed_again_it_is_the_same_until_its_status_changes(api: StandIn) -> None:
    put(api)
    first = history(on(api))
    put(api, updated_at="2026-11-09T00:00:00Z", disbursement_details={"success": "true"})
    assert history(on(api)) == first
    put(api, **reached("voided", "2026-11-01T10:00:00Z"))
    (part,) = history(on(api))
    assert part.event_id == "backfill:tx_1:voided"
    assert meanings(on(api), [part]) == [Reversed("tx_1", datetime(2026, 11, 1, 10, tzinfo=UTC), "void:tx_1")]


@pytest.mark.parametrize("name", ["paid", "refunded", "late_failure"])
def test_what_a_sample_delivers_is_found_as_well(api: StandIn, name: str) -> None:
    adapter = on(api)
    now = datetime(2026, 11, 1, 12, tzinfo=UTC)
    delivered: list[Fact] = []
    for delivery in sample("braintree", name, reference="sub_1", number="7", now=now, account="gym_usd"):
        for (kind, key), value in delivery.api.items():
            api.objects.put(kind, key, value)
        form = adapter.sign(delivery.content, 0)
        (part,) = adapter.parse(form.body, form.headers)
        delivered += adapter.interpret(part.type, part.body)
    found = [fact for fact in meanings(adapter, history(adapter)) if not isinstance(fact, str)]
    # A charge that was declined meanwhile is listed as that alone.
    assert {fact for fact in delivered if name != "late_failure" or isinstance(fact, Reversed)} == set(found)
    (owed,) = entitlement([*delivered, *found], [Terms(1, 8, 30)])
    assert owed.reversed == (0 if name == "paid" else 8)


def test_a_refund_and_what_becomes_of_it(api: StandIn) -> None:
    refund = {"type": "credit", "refunded_transaction_id": "tx_0", "subscription_id": None, "amount": "30.00"}
    put(api, "re_1", **refund)
    at = datetime(2026, 11, 1, 9, tzinfo=UTC)
    assert meanings(on(api), history(on(api))) == [Reversed("tx_0", at, "refund:re_1", 3000, "USD")]
    later = UNTIL + timedelta(days=30)
    assert history(on(api), UNTIL, later) == []
    for status in ("failed", "processor_declined", "settlement_declined", "voided"):
        put(api, "re_1", **refund | reached(status, "2026-11-20T09:00:00Z"))
        assert meanings(on(api), history(on(api), UNTIL, later)) == [
            Restored("tx_0", datetime(2026, 11, 20, 9, tzinfo=UTC), "refund:re_1", 3000, "USD")
        ]


def test_a_charge_that_came_back_weeks_later(api: StandIn) -> None:
    put(api, at="2026-10-01T09:00:00Z", **reached("settlement_declined", "2026-11-01T02:00:00Z"))
    put(api, "tx_2", at="2026-07-01T09:00:00Z", **reached("settlement_declined", "2026-11-01T02:00:00Z"))
    put(api, "tx_3", at="2026-10-01T09:00:00Z", status="failed")
    at = datetime(2026, 11, 1, 2, tzinfo=UTC)
    assert meanings(on(api), history(on(api))) == [Reversed("tx_1", at, "settlement:tx_1")]


def test_a_charge_submitted_after_its_day(api: StandIn) -> None:
    put(api, at="2026-10-30T09:00:00Z", **reached("submitted_for_settlement", "2026-11-01T09:00:00Z"))
    assert [part.event_id for part in history(on(api))] == ["backfill:tx_1:submitted_for_settlement"]


def test_a_second_charge_in_one_period_is_a_proration(api: StandIn) -> None:
    put(api, at="2026-10-20T09:00:00Z")
    second = {"subscription": {"billing_period_start_date": "2026-10-20"}, "amount": "10.00"}
    put(api, "tx_2", **second)
    (proration,) = meanings(on(api), history(on(api)))
    assert isinstance(proration, Paid)
    assert proration.lines == (Line(("sub_1",), 1000, proration=True),)
    # Where the first came to nothing, the second is the same dues tried again.
    put(api, at="2026-10-20T09:00:00Z", status="failed")
    (paid,) = meanings(on(api), history(on(api)))
    assert isinstance(paid, Paid)
    assert (paid.payment, paid.lines) == ("tx_2", ())
    assert "GET /merchants/gym/subscriptions/sub_1" in api.asked


def test_a_subscription_that_is_gone(api: StandIn) -> None:
    put(api, subscription_id="sub/1", subscription={"billing_period_start_date": "2026-10-20"})
    (paid,) = meanings(on(api), history(on(api)))
    assert isinstance(paid, Paid)


def test_a_sale_without_a_subscription_is_its_customers(api: StandIn) -> None:
    put(api, subscription_id=None)
    at = datetime(2026, 11, 1, 9, tzinfo=UTC)
    assert meanings(on(api), history(on(api))) == [Paid("tx_1", at, 8900, "USD", payer=("cus_1",))]
    put(api, subscription_id=None, customer={"id": None})
    assert meanings(on(api), history(on(api))) == ["names nobody: neither a subscription nor a customer"]


def test_what_a_notice_says_of_a_charge_is_listed_as_well(api: StandIn) -> None:
    adapter, notice = on(api), (PAYLOADS / "braintree/subscription_charged_with_extras.xml").read_bytes()
    put(
        api,
        "tx_Gym0001",
        "2026-11-01T09:00:05Z",
        amount="140.20",
        subscription_id="sub_Gym0001",
        plan_id="monthly",
        customer={"id": "cus_Gym0001"},
        subscription={"billing_period_start_date": "2026-11-01", "billing_period_end_date": "2026-11-30"},
        add_ons=[
            {"id": "locker", "amount": "10.00", "quantity": 2, "number_of_billing_cycles": None},
            {"id": "joining_fee", "amount": "49.00", "quantity": 1, "number_of_billing_cycles": 1},
        ],
        discounts=[{"id": "friend", "amount": "17.80", "quantity": 1}],
    )
    listed = meanings(adapter, history(adapter))
    assert listed == adapter.interpret("subscription_charged_successfully", notice)
    assert len(listed) == 1


def test_of_one_merchant_account(api: StandIn) -> None:
    put(api)
    put(api, "tx_2", merchant_account_id="gym_eur")
    assert [part.event_id for part in history(on(api, "gym_usd"))] == ["backfill:tx_1:settled"]
    assert len(history(on(api))) == 2


def test_from_one_moment_to_another(api: StandIn) -> None:
    for number, at in enumerate(("2026-10-31T23:59:59Z", "2026-11-01T00:00:00Z", "2026-11-02T00:00:01Z")):
        put(api, f"tx_{number}", at=at)
    assert [part.event_id for part in history(on(api))] == ["backfill:tx_1:settled"]
    here = datetime.fromisoformat("2026-10-31T19:00:00-05:00")
    assert len(history(on(api), here, here + timedelta(days=1))) == 1


@pytest.mark.parametrize(("count", "pages"), [(0, 0), (1, 1), (50, 1), (51, 2)])
def test_page_by_page(api: StandIn, count: int, pages: int) -> None:
    for number in range(count):
        put(api, f"tx_{number:03}", at=f"2026-11-01T09:{number:02}:00Z", status_history=[])
    found = history(on(api))
    assert [part.event_id for part in found] == [f"backfill:tx_{n:03}:settled" for n in reversed(range(count))]
    assert api.asked.count("POST /merchants/gym/transactions/advanced_search") == pages
    assert len(api.asked) == SEARCHES + pages


def test_more_than_the_search_finds_is_asked_for_in_parts(api: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "MOST_FOUND", 3)
    times = [f"2026-11-01T{hour:02}:00:00Z" for hour in range(24)] + ["2026-11-01T07:00:00Z"] * 5
    for number, at in enumerate(times):
        put(api, f"tx_{number:02}", at=at)
    assert {part.event_id for part in history(on(api))} == {f"backfill:tx_{n:02}:settled" for n in range(29)}
    # What found three or more was asked for again, in halves.
    assert api.asked.count("POST /merchants/gym/transactions/advanced_search_ids") > 24 / 2


def test_an_id_that_is_none_is_kept_in_quarantine(api: StandIn) -> None:
    put(api, status="a b")
    (part,) = history(on(api))
    assert str(part.quarantine_reason).startswith("unparsable")


@pytest.mark.parametrize("key", [(), ("gym",), ("gym", "public"), ("gym", "public", "private", "more")])
def test_no_key(api: StandIn, key: tuple[str, ...]) -> None:
    with pytest.raises(Unavailable, match="put MERCHANT_ID PUBLIC_KEY PRIVATE_KEY into SPP_API_KEY_BRAINTREE"):
        history(on(api, key=key))
    assert not api.asked


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused(api: StandIn, status: int) -> None:
    api.fail(status)
    with pytest.raises(Unavailable, match=f"status {status}.*SPP_API_KEY_BRAINTREE"):
        history(on(api))
    assert len(api.asked) == 1


def test_a_rate_limit_is_waited_for_as_long_as_it_says(api: StandIn) -> None:
    put(api)
    api.fail(429, **{"Retry-After": "1"})
    begun = monotonic()
    assert len(history(on(api))) == 1
    assert monotonic() - begun >= 1


def test_the_wait_is_bounded() -> None:
    waits = {text: ours.wait_s(text) for text in ("7", "61", "9" * 9, "9" * 99, "", "soon", "-1", "1.5", "\u0661")}
    assert waits.pop("7") == 7
    assert max(waits.values()) == 60
    assert min(waits.values()) > 0
    assert max(http.TIMEOUT_S) <= 10


@pytest.mark.parametrize("status", [429, 500, 503])
def test_it_is_not_there(api: StandIn, status: int) -> None:
    put(api)
    api.fail(status, times=2, **{"Retry-After": "0"})
    assert len(history(on(api))) == 1, "twice more is tried"
    api.asked.clear()
    api.fail(status, times=3, **{"Retry-After": "0"})
    with pytest.raises(Unavailable, match=f"answers {status}"):
        history(on(api))
    assert len(api.asked) == 3


def test_nobody_answers(api: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "TIMEOUT_S", (0.2, 0.2))
    with api.held(), pytest.raises(Unavailable, match="does not answer"):
        history(on(api))
    with pytest.raises(Unavailable, match="does not answer"):
        history(endpoint("braintree", api="http://127.0.0.1:9", api_key=("gym", "public", "private")))


XML = b"<search-results><page-size type='integer'>%d</page-size>%b</search-results>"


@pytest.mark.parametrize("status", [200, 302, 404, 422])
@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"<html>", b"\xff", b"null", b"{}", b"<x>" * 9_000, b"<search-results/>"),
        *(XML % (50, b"<ids/>"), XML % (50, b"<ids>1</ids>"), XML % (0, b"<ids type='array'><item>1</item></ids>")),
        b"<api-error-response><errors/></api-error-response>",
    ],
)
def test_an_answer_that_is_none(api: StandIn, status: int, body: bytes) -> None:
    put(api)
    api.fail(status, body=body)
    with pytest.raises(Unavailable, match="something else") as refused:
        history(on(api))
    assert len(str(refused.value)) < 300


def test_nobody_sends_us_elsewhere(api: StandIn) -> None:
    api.fail(307, Location="/merchants/other/transactions/advanced_search_ids")
    with pytest.raises(Unavailable, match="something else"):
        history(on(api))
    assert len(api.asked) == 1


def test_the_api_is_braintrees_own_without_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    key = ("gym", "public", "private")
    for adapter, host in (
        (endpoint("braintree", mode="test", api_key=key), "api.sandbox.braintreegateway.com"),
        (endpoint("braintree", mode="live", api_key=key), "api.braintreegateway.com"),
    ):
        configuration = ours.configuration(adapter, None)
        assert configuration.base_url() == f"https://{host}:443"
        with pytest.raises(Unavailable, match="ProxyError"):
            history(adapter)
    assert braintree.Environment.Production.is_ssl
