"""A delivery has one id, by which its answer, its log line and its events speak of it; and no secret is kept of it."""

import json
import re
from time import time

import pytest

from tests.webhooks.deliveries import changed, endpoint, recorded
from tests.webhooks.site import Site, new_event, signed
from webhooks.correlation import KEPT, delivery_id, kept_headers, places
from webhooks.processors import ADAPTERS, processor_named
from webhooks.signatures import sign_standard_webhooks

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
STANDARD_KEY = b"whsec_MfKQ9r8GKYqrTwjUPD8I"


def traced(value: str) -> str:
    return delivery_id({"HTTP_TRACEPARENT": value})


@pytest.mark.parametrize(
    "value", [f"00-{TRACE}-{PARENT}-01", f"cc-{TRACE}-{PARENT}-00", f"01-{TRACE}-{PARENT}-01-more"]
)
def test_a_trace_goes_on(value: str) -> None:
    assert traced(value) == TRACE


@pytest.mark.parametrize(
    "value",
    [
        "",
        "00",
        TRACE,
        f"00-{TRACE}-{PARENT}",
        f"00-{TRACE}-{PARENT}-01-more",
        f"00-{TRACE}-{PARENT}-01 ",
        f"ff-{TRACE}-{PARENT}-01",
        f"01-{TRACE}-{PARENT}-01more",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE[1:]}-{PARENT}-01",
        f" 00-{TRACE}-{PARENT}-01",
        "0" * 100_000,
    ],
    ids=range(14),
)
def test_what_is_no_trace_is_no_id(value: str) -> None:
    assert re.fullmatch(r"[0-9a-f]{32}", traced(value))
    assert traced(value) not in (TRACE, "0" * 32)


def test_each_delivery_has_an_id_of_its_own() -> None:
    assert len({delivery_id({}) for _ in range(100)}) == 100


def test_the_answer_names_what_is_stored(site: Site) -> None:
    event_id, body = new_event()
    answer = site.deliver(body)
    assert [event.delivery for event in site.events(event_id)] == [answer.headers["X-Delivery-Id"]]
    other = site.deliver(changed(body, data__object__amount_paid=1), {"traceparent": f"00-{TRACE}-{PARENT}-01"})
    assert other.headers["X-Delivery-Id"] == TRACE
    first, conflicting = site.events(event_id)
    assert (first.delivery, conflicting.delivery) == (answer.headers["X-Delivery-Id"], TRACE)


def test_a_repeat_leaves_the_event_with_its_first_delivery(site: Site) -> None:
    event_id, body = new_event()
    first, again = (site.deliver(body).headers["X-Delivery-Id"] for _ in range(2))
    assert first != again
    assert [event.delivery for event in site.events(event_id)] == [first]


def test_what_is_refused_has_an_id_too(site: Site) -> None:
    _, body = new_event()
    assert len(site.post("stripe", body, signed(body, b"whsec_other")).headers["X-Delivery-Id"]) == 32


def test_the_headers_that_matter_are_kept(site: Site) -> None:
    body = recorded("standard_webhooks")["payment_paid"]
    headers = sign_standard_webhooks(body, STANDARD_KEY, int(time()), "msg_headers")
    more = {
        "Content-Type": "application/json",
        "User-Agent": "x" * 1000,
        "Authorization": "Bearer never",
        "Cookie": "never",
        "square-retry-number": "2",
        "X-Request-Id": 'r"\\\u00e9',
        "X-Other": "never",
    }
    assert site.post("standard", body, headers | more).status_code == 200
    (event,) = site.events("msg_headers", "standard")
    assert json.loads(event.headers) == {
        "Content-Type": "application/json",
        "User-Agent": "x" * 200,
        "X-Request-Id": 'r"\\\u00e9',
        "Webhook-Id": "msg_headers",
        "Webhook-Timestamp": headers["webhook-timestamp"],
        "Remote-Address": "127.0.0.1",
    }
    assert headers["webhook-signature"] not in event.headers


def test_a_processors_own_headers_are_kept_of_its_deliveries(site: Site) -> None:
    body = changed(recorded("square")["invoice_payment_made"], event_id="headers")
    signed_by = endpoint("square", "key", url="https://gym.example/square").sign(body, int(time())).headers
    assert site.post("square", body, signed_by | {"square-retry-number": "2", "Webhook-Id": "never"}).status_code == 200
    (event,) = site.events("headers", "square")
    kept = json.loads(event.headers)
    assert kept["Square-Retry-Number"] == "2"
    assert "Webhook-Id" not in kept


def test_no_header_is_kept_that_could_have_a_secret() -> None:
    own = [name for processor in ADAPTERS for name in processor_named(processor).kept_headers]
    assert not [
        name for name in (*KEPT, *own) if re.search("sig|auth|cookie|token|secret|key|cert", name, re.IGNORECASE)
    ]


def test_headers_that_nobody_sent_are_not_kept() -> None:
    assert kept_headers({"CONTENT_TYPE": "", "REMOTE_ADDR": None, "HTTP_USER_AGENT": "\0\xff"}, places()) == (
        '{"User-Agent":"\\u0000\xff"}'
    )
