import io
from time import time

import pytest

from models.inbox.events import EventState
from tests.webhooks.contract import HOSTILE
from tests.webhooks.deliveries import changed, recorded
from tests.webhooks.site import PAID, Site, eventually, new_event, signed
from webhooks.signatures import sign_standard_webhooks

STANDARD_KEY = b"whsec_MfKQ9r8GKYqrTwjUPD8I"


def test_a_delivery_is_on_disk_when_it_is_answered(site: Site) -> None:
    event_id, body = new_event(data__object__customer_name="Zoë \u2028 Ångström")
    body = b"\n " + body + b"\r\n"
    answer = site.deliver(body)
    assert (answer.status_code, answer.data) == (200, b"")
    (event,) = site.events(event_id)
    assert bytes(event.body) == body
    assert (event.type, event.api_version, event.state) == ("invoice.paid", "2025-06-30.basil", EventState.PENDING)
    assert (event.attempts, event.reason, event.conflicts_with) == (0, None, None)


def test_a_delivery_of_standard_webhooks(site: Site) -> None:
    body = recorded("standard_webhooks")["payment_paid"]
    headers = sign_standard_webhooks(body, STANDARD_KEY, int(time()), "msg_1")
    assert site.post("standard", body, headers).status_code == 200
    (event,) = site.events(headers["webhook-id"], "standard")
    assert (bytes(event.body), event.type) == (body, "payment.paid")


def test_every_secret_of_the_endpoint_counts_and_no_other(site: Site) -> None:
    event_id, body = new_event()
    for key, status in ((b"whsec_live", 400), (b"", 400), (b"whsec_old", 200)):
        assert site.post("stripe", body, signed(body, key)).status_code == status
    assert len(site.events(event_id)) == 1


def test_a_delivery_again_changes_nothing(site: Site) -> None:
    event_id, body = new_event()
    answers = [site.deliver(body) for _ in range(3)]
    assert [(answer.status_code, answer.data) for answer in answers] == [(200, b"")] * 3
    assert len(site.events(event_id)) == 1


def test_the_same_event_one_hundred_times_at_once(site: Site) -> None:
    event_id, body = new_event()
    assert site.deliver_at_once([body] * 100) == [200] * 100
    (event,) = site.events(event_id)
    assert bytes(event.body) == body


def test_one_hundred_events_at_once_are_each_there(site: Site) -> None:
    events = dict(new_event() for _ in range(100))
    assert site.deliver_at_once(list(events.values())) == [200] * 100
    for event_id, body in events.items():
        assert [bytes(event.body) for event in site.events(event_id)] == [body]


def test_one_id_on_two_endpoints_is_two_events(site: Site) -> None:
    event_id, body = new_event()
    assert site.deliver(body).status_code == 200
    assert site.post("stripe-live", body, signed(body, b"whsec_live")).status_code == 200
    assert [len(site.events(event_id, endpoint)) for endpoint in ("stripe", "stripe-live")] == [1, 1]


def test_pending_webhooks_counting_down_is_no_conflict(site: Site) -> None:
    event_id, body = new_event(pending_webhooks=3)
    for left in (3, 2, 1, 0):
        assert site.deliver(changed(body, pending_webhooks=left)).status_code == 200
    (event,) = site.events(event_id)
    assert bytes(event.body) == body


def test_the_same_id_with_other_content(site: Site) -> None:
    event_id, body = new_event()
    other = changed(body, data__object__amount_paid=1)
    assert [site.deliver(sent).status_code for sent in (body, other, other, body)] == [200] * 4
    first, conflict = site.events(event_id)
    assert (bytes(first.body), first.state, first.conflicts_with) == (body, EventState.PENDING, None)
    assert (bytes(conflict.body), conflict.state, conflict.conflicts_with) == (other, "quarantined", first.id)
    assert f"event {first.id}" in conflict.reason
    assert conflict.finished_at is not None


def test_the_same_id_with_other_content_at_once(site: Site) -> None:
    event_id, body = new_event()
    others = [changed(body, data__object__amount_paid=amount) for amount in range(1, 9)] * 4
    assert site.deliver_at_once(others) == [200] * len(others)
    first, *conflicts = site.events(event_id)
    assert first.conflicts_with is None
    assert {event.conflicts_with for event in conflicts} == {first.id}
    assert sorted(bytes(event.body) for event in (first, *conflicts)) == sorted(set(others))


@pytest.mark.parametrize("hostile", HOSTILE)
def test_authentic_but_unreadable_is_kept(site: Site, hostile: str) -> None:
    _, good = new_event()
    body = HOSTILE[hostile](good.removeprefix(b"{").removesuffix(b"}"))
    before = site.count()
    assert site.deliver(body).status_code == 200
    assert site.deliver(body).status_code == 200
    assert site.count() == before + 1
    event = site.rows("SELECT * FROM webhook_events ORDER BY id DESC LIMIT 1")[0]
    assert bytes(event.body) == body
    if event.event_id.startswith("sha256:"):
        assert (event.state, event.type) == (EventState.QUARANTINED, "unparsable")
        assert event.reason.startswith("unparsable")


def test_nothing_unauthenticated_is_stored(site: Site) -> None:
    _, body = new_event()
    good, before = signed(body), site.count()
    stale = "t=1," + good["Stripe-Signature"].partition(",")[2]
    future = good["Stripe-Signature"].replace("t=1", "t=9")
    strange = ("", "é", "v1=", "t=1", stale, future, "x" * 20_000, good["Stripe-Signature"] + "," + stale)
    refused = [site.post("stripe", body, {"Stripe-Signature": value.encode().decode("latin-1")}) for value in strange]
    refused += [site.post("stripe", body, {}), site.post("stripe", body + b" ", good), site.post("stripe", b"", good)]
    refused += [site.post("stripe", body[:-1], good), site.post("stripe-live", body, good)]
    refused += [site.post("standard", body, {"webhook-id": "a", "webhook-timestamp": "1", "webhook-signature": "v1,"})]
    assert [answer.status_code for answer in refused] == [400] * len(refused)
    assert all(answer.data.startswith(b"Not authentic") for answer in refused)
    assert site.count() == before


def test_deliveries_are_counted(site: Site) -> None:
    _, body = new_event()
    too_large = b"x" * (site.settings.body_limit_bytes + 1)
    refused = [(body, {})] * 7 + [(too_large, {})] * 2 + [(body, signed(body) | {"Content-Encoding": "gzip"})]
    stored = [(sent, signed(sent)) for sent in (body, body, body, changed(body, created=1))]
    for sent, headers in [*refused, *stored]:
        site.post("counted", sent, headers)
    expected = {
        "bad_signature": 7,
        "too_large": 2,
        "encoding": 1,
        "new": 1,
        "unfinished_duplicate": 2,
        "conflict": 1,
    }
    assert eventually(lambda: sum(site.counts("counted").values()) >= sum(expected.values()))
    assert site.counts("counted") == expected


@pytest.mark.parametrize("path", ["/webhooks/nobody", "/webhooks/STRIPE", "/webhooks/stripe/", "/webhooks/", "/", "/x"])
def test_where_no_endpoint_is(site: Site, path: str) -> None:
    _, body = new_event()
    before = site.count()
    assert site.app.test_client().post(path, data=body, headers=signed(body)).status_code == 404
    assert site.count() == before


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_other_methods(site: Site, method: str) -> None:
    answer = site.app.test_client().open("/webhooks/stripe", method=method)
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"].split(", ")


class TestLimits:
    def test_the_largest_body(self, site: Site) -> None:
        event_id, body = new_event()
        body += b" " * (site.settings.body_limit_bytes - len(body))
        assert site.deliver(body).status_code == 200
        assert bytes(site.events(event_id)[0].body) == body

    def test_a_byte_more(self, site: Site) -> None:
        _, body = new_event()
        before = site.count()
        body += b" " * (site.settings.body_limit_bytes - len(body) + 1)
        assert site.deliver(body).status_code == 413
        assert site.count() == before

    def test_a_body_of_unknown_length(self, site: Site) -> None:
        # What a WSGI server makes of Transfer-Encoding: chunked.
        event_id, body = new_event()
        for sent, status in ((body, 200), (body + b" " * site.settings.body_limit_bytes, 413)):
            chunked = {"wsgi.input_terminated": True, "CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"}
            answer = site.app.test_client().post(
                "/webhooks/stripe", input_stream=io.BytesIO(sent), headers=signed(sent), environ_overrides=chunked
            )
            assert answer.status_code == status
        assert len(site.events(event_id)) == 1

    @pytest.mark.parametrize("length", ["10", "x", "-1", "", "1e3"])
    def test_a_length_that_is_not_the_body_s(self, site: Site, length: str) -> None:
        event_id, body = new_event()
        assert site.deliver(body, environ_overrides={"CONTENT_LENGTH": length}).status_code == 400
        assert not site.events(event_id)

    @pytest.mark.parametrize("encoding", ["gzip", "GZIP", "deflate", "br", "gzip, identity", "x"])
    def test_a_content_encoding(self, site: Site, encoding: str) -> None:
        event_id, body = new_event()
        assert site.deliver(body, {"Content-Encoding": encoding}).status_code == 415
        assert not site.events(event_id)

    @pytest.mark.parametrize("encoding", ["", "identity", " Identity "])
    def test_no_content_encoding(self, site: Site, encoding: str) -> None:
        event_id, body = new_event()
        assert site.deliver(body, {"Content-Encoding": encoding}).status_code == 200
        assert len(site.events(event_id)) == 1

    @pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "multipart/form-data", "x", ""])
    def test_the_content_type_does_not_matter(self, site: Site, content_type: str) -> None:
        event_id, body = new_event()
        assert site.deliver(body, content_type=content_type).status_code == 200
        assert bytes(site.events(event_id)[0].body) == body


def test_types_we_do_not_use_are_taken(site: Site) -> None:
    # A failing answer to invoice.created would delay the finalising of members' invoices.
    event_id, body = new_event(type="invoice.created")
    assert site.deliver(body).status_code == 200
    assert site.events(event_id)[0].state == EventState.PENDING
    assert changed(PAID, id=event_id, type="invoice.created") == body
