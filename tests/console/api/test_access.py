"""Who may call which route: tokens and their scopes, and nothing else."""

import re
from datetime import UTC, datetime

import pytest
from flask import Flask
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from models.moving.columns import Kind
from models.moving.exports import EXPORTS
from models.reports.known import BY_NAME
from models.staff import accounts, tokens
from models.staff.accounts import Role, Staff
from models.staff.tokens import ApiToken, TokenScope
from tests.console.api.conftest import BY, PASSWORD, Caller, Issue, Paid, answered, posted
from tests.models.gym import Gym

READS = {
    "/members",
    "/members/{}",
    "/members/{}/balances",
    "/members/{}/grants",
    "/members/{}/entries",
    "/members/{}/statement.csv",
    "/members/{}/memberships",
    "/members/{}/payments",
    "/members/{}/redemptions",
    "/members/{}/why-not",
    "/memberships/{}",
    "/memberships/{}/payments",
    "/memberships/{}/plan-changes/preview",
    "/memberships/{}/freezes",
    "/memberships/{}/freezes/preview",
    "/freezes/{}",
    "/freezes/{}/preview",
    "/freezes/{}/undoing/preview",
    "/memberships/{}/end",
    "/memberships/{}/end/preview",
    "/memberships/{}/reopening/preview",
    "/closures/{}",
    "/memberships/{}/cut-over/preview",
    "/moving-in",
    "/first-steps",
    "/moving-in/references",
    "/moving-in/memberships",
    "/memberships/{}/club-changes",
    "/memberships/{}/billing-changes",
    "/grants/{}",
    "/members/{}/merges/{}",
    "/redemptions",
    "/redemptions/{}",
    "/adjustments",
    "/adjustments/{}",
    "/payments",
    "/payments/{}",
    "/reviews",
    "/reviews/counts",
    "/not-dues",
    "/not-dues/preview",
    "/not-dues/{}",
    "/events",
    "/events/{}",
    "/events/{}/foresight",
    "/operations",
    "/error-groups",
    "/error-groups/foresight",
    "/bulk-actions/{}",
    "/offers",
    "/offers/{}",
    "/offers/{}/plan-changes/preview",
    "/payment-terms/{}",
    "/items",
    "/items/{}",
    "/clubs",
    "/clubs/{}",
    "/clubs/{}/closures",
    "/clubs/{}/closures/preview",
    "/announcements",
    "/awaiting-memberships",
    "/memberships/{}/sign-up-links",
}
FOR_THE_DESK = {
    ("POST", "/redemptions"),
    ("POST", "/redemptions/{}/returns"),
    ("POST", "/memberships"),
    ("POST", "/memberships/{}/billing-references"),
    ("POST", "/memberships/{}/sign-up-links"),
    ("PATCH", "/members/{}"),
    ("POST", "/adjustments"),
    ("POST", "/adjustments/{}/declines"),
}
FOR_MANAGERS = {
    ("POST", "/memberships/{}/removal"),
    ("POST", "/awaiting-memberships/removals"),
    ("POST", "/members/{}/merges"),
    ("POST", "/members/{}/unmerge"),
    ("POST", "/members/{}/erasure"),
    ("POST", "/members/{}/test-membership"),
    ("POST", "/members/{}/test-clock"),
    ("PATCH", "/memberships/{}/cut-over"),
    ("POST", "/memberships/{}/plan-changes"),
    ("POST", "/memberships/{}/plan-changes/withdrawals"),
    ("POST", "/memberships/{}/freezes"),
    ("PATCH", "/freezes/{}"),
    ("POST", "/freezes/{}/undoing"),
    ("POST", "/memberships/{}/end"),
    ("PATCH", "/memberships/{}/end"),
    ("POST", "/memberships/{}/reopening"),
    ("POST", "/clubs/{}/closures"),
    ("PATCH", "/closures/{}"),
    ("POST", "/closures/{}/undoing"),
    ("POST", "/offers/{}/plan-changes"),
    ("POST", "/memberships/{}/overdue-clearings"),
    ("POST", "/memberships/{}/club-changes"),
    ("POST", "/memberships/{}/billing-changes"),
    ("POST", "/announcements/{}/applications"),
    ("POST", "/announcements/{}/dismissals"),
    ("POST", "/grants/{}/extensions"),
    ("POST", "/adjustments/{}/approvals"),
    ("POST", "/not-dues"),
    ("DELETE", "/not-dues/{}"),
    ("POST", "/clubs"),
    ("PATCH", "/clubs/{}"),
    ("DELETE", "/clubs/{}"),
    ("POST", "/items"),
    ("PATCH", "/items/{}"),
    ("DELETE", "/items/{}"),
    ("POST", "/offers"),
    ("PATCH", "/offers/{}"),
    ("DELETE", "/offers/{}"),
    ("POST", "/offers/{}/payment-terms"),
    ("PATCH", "/payment-terms/{}"),
    ("DELETE", "/payment-terms/{}"),
}
FOR_MANAGERS |= {
    ("POST", "/imports"),
    ("POST", "/imports/{}/columns"),
    ("POST", "/imports/{}/judging"),
    ("POST", "/imports/{}/writing"),
    ("POST", "/imports/{}/undoing"),
    ("POST", "/imports/{}/discarding"),
}
FILES = (
    {f"/exports/{one.name}.csv" for one in EXPORTS}
    | {f"/reports/{name}.csv" for name in BY_NAME}
    | {f"/import-templates/{kind}.csv" for kind in Kind}
)
PEOPLES_DATA = FILES | {f"/reports/{name}" for name in BY_NAME}
PEOPLES_DATA |= {"/reports", "/imports", "/imports/{}", "/imports/{}/rows"}
"""For managers, with a token of either scope."""
FOR_REVIEWERS = {("POST", "/payments/{}/acceptances"), ("POST", "/reviews/acceptances")}
FOR_OPERATORS = {("POST", "/bulk-actions")}
WRITES = FOR_THE_DESK | FOR_MANAGERS | FOR_REVIEWERS | FOR_OPERATORS
PUBLIC = {"/openapi.json", "/docs", "/docs/assets/{}", "/static/{}", "/problems/{}"}


def send(caller: Caller, method: str, path: str) -> TestResponse:
    """A request that asks for nothing that could be."""
    body = None if method == "DELETE" else {}
    headers = {**caller.headers, "Idempotency-Key": "key"}
    return caller.client.open(f"/api/v1{path.format(404)}", method=method, json=body, headers=headers)


def test_every_route_is_in_one_of_these_lists(site: Flask) -> None:
    found = {
        (method, re.sub("<.*?>", "{}", rule.rule.removeprefix("/api/v1")))
        for rule in site.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule.startswith("/api/")
    }
    assert found == {("GET", path) for path in READS | PUBLIC | PEOPLES_DATA} | WRITES


@pytest.mark.parametrize("header", [None, "Bearer", "Bearer ", "Bearer spp_guess", "Bearer a=b", "Basic c3BwOng=", "x"])
def test_without_a_good_token_nothing_is_open(stranger: Caller, header: str | None) -> None:
    stranger.headers = {"Authorization": header} if header else {}
    answers = [stranger.get(path.format(1, 2)) for path in READS | PEOPLES_DATA] + [
        send(stranger, *route) for route in WRITES
    ]
    for response in answers:
        assert answered(response, 401)["detail"].startswith("Send a valid API token")
        assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_token_of_another_scheme_is_none(reader: Caller) -> None:
    reader.headers = {"Authorization": reader.headers["Authorization"].replace("Bearer", "Token")}
    answered(reader.get("/clubs"), 401)


@pytest.mark.parametrize("scope", TokenScope)
def test_either_scope_reads(issue: Issue, ada: Paid, scope: TokenScope) -> None:
    caller = issue(scope).caller
    needed: dict[str, dict[str, object]] = {"/members/{}/why-not": {"item_id": 1}}
    needed["/memberships/{}/plan-changes/preview"] = {"item_ids": 1}
    needed["/not-dues/preview"] = {"endpoint": "stripe", "reference": "x"}
    statuses = {path: caller.get(path.format(1, 2), **needed.get(path, {})).status_code for path in READS}
    not_there = {
        "/members/{}/merges/{}", "/redemptions/{}", "/adjustments/{}", "/not-dues/{}", "/closures/{}",
        "/bulk-actions/{}",
    }  # fmt: skip
    not_there |= {path for path in READS if re.search("freezes/{}|/end$|/reopening", path)}
    without_days = {"/memberships/{}/freezes/preview", "/memberships/{}/end/preview", "/clubs/{}/closures/preview"}
    without_days |= {"/error-groups/foresight"}
    without_days |= {path for path in READS if path.endswith("-changes")}
    expected = dict.fromkeys(READS, 200) | dict.fromkeys(not_there, 404) | dict.fromkeys(without_days, 422)
    assert statuses == expected


@pytest.mark.parametrize("role", Role)
def test_people_s_data_are_for_managers(issue: Issue, ada: Paid, role: Role) -> None:
    caller = issue(TokenScope.READ, role).caller
    expected = {200, 404} if role in (Role.MANAGER, Role.ADMIN) else {403}
    assert {caller.get(path.format(1)).status_code for path in PEOPLES_DATA} == expected


def test_a_token_for_reading_does_not_write(reader: Caller, ada: Paid) -> None:
    for route in WRITES:
        assert "may only read" in answered(send(reader, *route), 403)["detail"]


@pytest.mark.parametrize("role", Role)
def test_what_a_token_may_do_is_what_its_owner_may(issue: Issue, ada: Paid, role: Role) -> None:
    """The same as on the console's pages; where the role is enough, the request is looked at, and here it is none."""
    caller = issue(TokenScope.WRITE, role).caller
    statuses = {route: send(caller, *route).status_code for route in WRITES}
    allowed = {route for route, status in statuses.items() if status in {404, 422}}
    assert {status for route, status in statuses.items() if route not in allowed} <= {403}
    assert (
        allowed
        == {
            Role.VIEWER: set(),
            Role.OPERATOR: FOR_REVIEWERS | FOR_OPERATORS,
            Role.DESK: FOR_THE_DESK,
            Role.MANAGER: WRITES - FOR_OPERATORS,
            Role.ADMIN: WRITES,
        }[role]
    )


def test_a_revoked_token_is_none(issue: Issue, session: Session) -> None:
    mine = issue(TokenScope.READ)
    answered(mine.caller.get("/clubs"))
    tokens.revoke(session, mine.token.id, by=BY, now=datetime.now(UTC))
    session.commit()
    answered(mine.caller.get("/clubs"), 401)


def test_a_token_is_as_good_as_its_owner(api: Caller, owner: Staff, session: Session, gym: Gym, ada: Paid) -> None:
    body = {"member_id": ada.id, "item_id": gym.spin.id, "quantity": 1}
    accounts.change_role(session, owner, Role.VIEWER, by=BY)
    session.commit()
    answered(api.get("/clubs"))
    assert "viewer" in posted(api.post("/redemptions", body, "check-in-1"), 403)["detail"]
    accounts.disable(session, owner, by=BY, now=datetime.now(UTC))
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
