"""Who may call which route: tokens and their scopes, and nothing else."""

import re
from datetime import UTC, datetime

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from models import staff, tokens
from models.staff import Role, Staff
from models.tokens import ApiToken, TokenScope
from tests.console.api.conftest import BY, PASSWORD, Caller, Issue, Paid, answered, posted
from tests.models.gym import Gym

READS = {
    "/members", "/members/{}", "/members/{}/balances", "/members/{}/grants", "/members/{}/entries",
    "/members/{}/memberships", "/memberships/{}", "/redemptions/{}", "/offers", "/offers/{}", "/items", "/clubs",
}  # fmt: skip
WRITES = {"/redemptions", "/redemptions/{}/returns", "/memberships", "/memberships/{}/billing-references"}
PUBLIC = {"/openapi.json", "/docs", "/docs/assets/{}", "/static/{}", "/problems/{}"}


def test_every_route_is_in_one_of_these_lists(site: Flask) -> None:
    rules = [rule for rule in site.url_map.iter_rules() if rule.rule.startswith("/api/")]
    found = {(re.sub("<.*?>", "{}", rule.rule.removeprefix("/api/v1")), "POST" in rule.methods) for rule in rules}  # type: ignore[operator]
    assert found == {(path, False) for path in READS | PUBLIC} | {(path, True) for path in WRITES}


@pytest.mark.parametrize("header", [None, "Bearer", "Bearer ", "Bearer spp_guess", "Bearer a=b", "Basic c3BwOng=", "x"])
def test_without_a_good_token_nothing_is_open(stranger: Caller, header: str | None) -> None:
    stranger.headers = {"Authorization": header} if header else {}
    answers = [stranger.get(path.format(1)) for path in READS] + [stranger.post(path.format(1), {}) for path in WRITES]
    for response in answers:
        assert answered(response, 401)["detail"].startswith("Send a valid API token")
        assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_token_of_another_scheme_is_none(reader: Caller) -> None:
    reader.headers = {"Authorization": reader.headers["Authorization"].replace("Bearer", "Token")}
    answered(reader.get("/clubs"), 401)


@pytest.mark.parametrize("scope", TokenScope)
def test_either_scope_reads(issue: Issue, ada: Paid, scope: TokenScope) -> None:
    caller = issue(scope).caller
    statuses = {path: caller.get(path.format(1)).status_code for path in READS}
    assert statuses == {path: 404 if path == "/redemptions/{}" else 200 for path in READS}


def test_a_token_for_reading_does_not_write(reader: Caller, ada: Paid) -> None:
    for path in WRITES:
        assert "may only read" in posted(reader.post(path.format(1), {}, "key"), 403)["detail"]


def test_a_revoked_token_is_none(issue: Issue, session: Session) -> None:
    mine = issue(TokenScope.READ)
    answered(mine.caller.get("/clubs"))
    tokens.revoke(session, mine.token.id, by=BY, now=datetime.now(UTC))
    session.commit()
    answered(mine.caller.get("/clubs"), 401)


def test_a_token_is_as_good_as_its_owner(api: Caller, owner: Staff, session: Session, gym: Gym, ada: Paid) -> None:
    body = {"member_id": ada.id, "item_id": gym.spin.id, "quantity": 1}
    staff.change_role(session, owner, Role.VIEWER, by=BY)
    session.commit()
    answered(api.get("/clubs"))
    assert "viewer" in posted(api.post("/redemptions", body, "check-in-1"), 403)["detail"]
    staff.disable(session, owner, by=BY, now=datetime.now(UTC))
    session.commit()
    answered(api.get("/clubs"), 401)
    assert api.client.get("/api/v1/openapi.json").status_code == 200


def test_a_session_cookie_is_no_token(site: Flask, owner: Staff) -> None:
    browser = site.test_client()
    page = browser.get("/login").get_data(as_text=True)
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
    assert token
    form = {"csrf_token": token[1], "email": owner.email, "password": PASSWORD}
    assert browser.post("/login", data=form).status_code == 302
    assert browser.get("/members/").status_code == 200
    answered(browser.get("/api/v1/clubs"), 401)


def test_the_use_of_a_token_is_noted(issue: Issue, session: Session) -> None:
    mine = issue(TokenScope.READ)
    answered(mine.caller.get("/clubs"))
    session.expire_all()
    assert session.get_one(ApiToken, mine.token.id).last_used_at is not None
