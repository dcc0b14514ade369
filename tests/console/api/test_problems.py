"""Whatever is sent, the answer is a problem that says what is wrong, and nothing is kept."""

import json
from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import event, text
from sqlalchemy.engine import Connection
from werkzeug.test import TestResponse

from console.api.document import KINDS
from console.request import MAX_FORM_BYTES
from console.web.app import create_app
from models.database.engine import make_engine
from runtime.settings import Settings
from tests.console.api.conftest import Caller, Json, Paid, answered, posted
from tests.models.gym import CLASSES, Gym

WRITES = [
    "POST /redemptions",
    "POST /redemptions/1/returns",
    "POST /memberships",
    "POST /memberships/1/billing-references",
    "POST /adjustments",
    "POST /grants/1/extensions",
    "POST /clubs",
    "PATCH /clubs/1",
    "POST /items",
    "PATCH /items/1",
    "POST /offers",
    "PATCH /offers/1",
    "POST /offers/1/payment-terms",
    "PATCH /payment-terms/1",
]


@pytest.fixture
def api(manager: Caller) -> Caller:
    """One that may do everything here."""
    return manager


def send(api: Caller, route: str, raw: bytes | str, content_type: str | None = "application/json") -> TestResponse:
    method, path = route.split()
    headers = {**api.headers, "Idempotency-Key": "key"}
    return api.client.open(f"/api/v1{path}", method=method, data=raw, headers=headers, content_type=content_type)


def test_what_is_no_json_is_said_to_be_none(api: Caller, ada: Paid) -> None:
    raws = [
        b"",
        b"{",
        b"nonsense",
        b"\xff",
        b"\xef\xbb\xbf{}",
        '{"quantity":1}'.encode("utf-16"),
        b'{"x":"\\ud800"}',
        b'{"\\ud800":1}',
        b"[" * 100_000,
        b'{"x":' * 5000,
        b'{"quantity":1' + b"0" * 5000 + b"}",
        b"{}{}",
    ]
    for path in WRITES:
        for raw in raws:
            assert "Invalid JSON" in answered(send(api, path, raw), 400)["detail"], raw[:30]


def test_json_that_does_not_fit_is_refused(api: Caller, ada: Paid) -> None:
    raws = [
        "null",
        "[]",
        "1",
        '"{}"',
        '"{\\"quantity\\":1}"',
        '{"quantity":NaN}',
        '{"quantity":1e400}',
        '{"quantity":1.5}',
        '{"quantity":true}',
        '{"quantity":9999999999999999999999}',
        '{"member_id":-1}',
        '{"name":"\\u0000"}',
        '{"x":1}',
        '{"quantity":1,"quantity":0}',
    ]
    for path in WRITES:
        for raw in raws:
            assert answered(send(api, path, raw), 422)["errors"], raw
    assert api.usable(ada.id, "Spin") == CLASSES


def test_of_a_member_given_twice_the_last_counts(api: Caller, gym: Gym, ada: Paid) -> None:
    twice = f'{{"member_id":{ada.id},"item_id":{gym.spin.id},"quantity":9,"quantity":2.0}}'
    assert posted(send(api, "POST /redemptions", twice))["quantity"] == 2


def test_only_json_is_taken(api: Caller, ada: Paid) -> None:
    for path in WRITES:
        for kind in (None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "\xe9"):
            answered(send(api, path, b"{}", kind), 415)


def test_json_may_say_its_charset(api: Caller, gym: Gym, ada: Paid) -> None:
    body = json.dumps({"member_id": ada.id, "item_id": gym.spin.id, "quantity": 1})
    posted(send(api, "POST /redemptions", body, "application/json; charset=utf-8"))


def test_too_much_is_too_much(api: Caller, ada: Paid) -> None:
    answered(send(api, "POST /redemptions", b" " * (MAX_FORM_BYTES + 1)), 413)


def test_a_path_or_method_that_is_none_is_a_problem_too(api: Caller) -> None:
    for path in ("/api/", "/api/v2/members", "/api/v1/nothing", "/api/v1/members/1/nothing", "/api/v1/members/"):
        problem = answered(api.client.get(path), 404)
        assert (problem["type"], problem["title"]) == ("about:blank", "Not Found")
    answered(api.client.post("/api/v1/nothing", data=b"x"), 404)
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        response = api.client.open("/api/v1/members", method=method, headers=api.headers)
        answered(response, 405)
        assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}
    assert b"<html" in api.client.get("/nothing").data


def test_our_own_mistake_is_a_problem_without_its_details(site: Flask, api: Caller, ada: Paid) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret")

    event.listen(site.extensions["spp_engine"], "commit", broken)
    response = api.get("/clubs")
    assert answered(response, 500)["detail"].startswith("Something is wrong on our side. Send the same")


@pytest.fixture
def locked(database_url: str, ada: Paid) -> Iterator[Connection]:
    """Holds the grants of all members."""
    engine = make_engine(database_url)
    with engine.connect() as connection:
        connection.execute(text("SELECT FROM credit_grants FOR UPDATE"))
        yield connection
    engine.dispose()


def test_a_busy_database_is_told_as_such_and_the_key_is_free(
    api: Caller, gym: Gym, ada: Paid, locked: Connection
) -> None:
    body = {"member_id": ada.id, "item_id": gym.spin.id, "quantity": 1}
    response = api.post("/redemptions", body, "check-in-1")
    assert "Send the same request again" in answered(response, 503)["detail"]
    assert response.headers["Retry-After"]
    locked.rollback()
    again = api.post("/redemptions", body, "check-in-1")
    posted(again)
    assert "Idempotency-Replayed" not in again.headers


def test_an_unreachable_database_is_told_as_such(settings: Settings) -> None:
    changes = {"console_secret": "x" * 32, "database_url": "postgresql://nobody@127.0.0.1:1/nothing"}
    app = create_app(Settings(**{**settings.model_dump(), **changes}))
    response = Caller(app.test_client(), {"Authorization": "Bearer spp_x"}).get("/clubs")
    assert "Send the same request again" in answered(response, 503)["detail"]
    app.extensions["spp_engine"].dispose()


def test_every_type_of_problem_has_its_page(stranger: Caller) -> None:
    assert {"invalid-request", "too-few-sessions", "term-cannot-be-bought"} <= KINDS.keys()
    for name in KINDS:
        response = stranger.get(f"/problems/{name}")
        assert (response.status_code, response.mimetype) == (200, "text/plain")
        assert response.text.startswith(name.replace("-", " ").capitalize())


def test_a_type_that_is_none_has_no_page(stranger: Caller) -> None:
    answered(stranger.get("/problems/nothing"), 404)


def test_the_types_that_are_told_have_their_pages(api: Caller, gym: Gym, ada: Paid) -> None:
    body: Json = {"member_id": ada.id, "item_id": gym.spin.id, "quantity": 9}
    for wrong in (body, {}, {**body, "item_id": 404}):
        kind = posted(api.post("/redemptions", wrong, "check-in-1"), 422)["type"]
        assert api.client.get(kind).status_code == 200
