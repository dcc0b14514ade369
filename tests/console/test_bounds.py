"""Every page and route of the API as a person bound to a club: nothing of another club is shown, or can be changed."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.orm import Session
from werkzeug.routing import Rule

from console import bounds
from console.bounds import COMMON, FILTERED, GUARDED
from console.web.app import create_app
from models.database.base import Base
from models.ledger import adjustments
from models.ledger.adjustments import AdjustmentReason
from models.ledger.redemptions import redeem
from models.members import life
from models.members.life import Scope
from models.members.memberships import Membership, add_billing_reference
from models.members.signing_up import sign_up
from models.payments.facts import Announced, Change
from models.staff import accounts, tokens
from models.staff.accounts import Role, Staff
from models.staff.actions import Actor
from models.staff.tokens import TokenScope
from runtime.settings import DatabaseRole, Settings
from tests.database_roles import as_role
from tests.models.gym import Gym, build, paid, tell

NOW = datetime.now(UTC)
BY = Actor("tests", "here")
PASSWORD = "correct horse battery"

HOUSE = (
    "operations.", "audits.", "imports.", "staff.", "tokens.", "review.not_dues.", "clubs.new", "offers.",
    "inventory.", "expiry.allow", "expiry.undo", "api.create_", "api.change_offer", "api.change_item",
    "api.change_payment_term", "api.delete_offer", "api.delete_item", "api.delete_payment_term",
    "api.preview_moves", "api.move_memberships", "api.list_events", "api.get_event", "api.list_imports",
    "api.upload_import", "api.get_import", "api.list_import_rows", "api.choose_import_columns",
    "api.judge_import_again", "api.write_import", "api.undo_import", "api.discard_import",
    "api.get_people_template", "api.get_balances_template", "api.list_not_dues", "api.get_not_dues",
    "api.preview_not_dues", "api.mark_not_dues", "api.unmark_not_dues", "api.get_first_steps",
    "api.get_operations", "api.list_error_groups", "api.foresee_", "api.start_bulk_action", "api.get_bulk_action",
)  # fmt: skip
"""Views, by how their names begin, for people of all clubs alone: they are about the whole house."""
ASKED = {
    "memberships.await_payment": "?days=0", "api.list_awaiting": "?days=0", "review.accept_all": "?reason=part",
}  # fmt: skip
"""What some lists have to be asked for."""
TO_EVERYBODY = {
    "static", "bootstrap.static", "api.static", "api_docs.static", "api.docs", "api.openapi", "api.explain",
    "login.log_in", "login.ask_code", "login.log_out", "password_links.ask", "password_links.set_password",
    "start.healthz", "start.readyz", "start.answer",
}  # fmt: skip
"""Views that are open without an account, or end it."""


@dataclass
class Person:
    """An admin with a browser, and a program with a token of theirs."""

    client: FlaskClient
    headers: dict[str, str]
    csrf: str

    def open(self, method: str, path: str, **fields: Any) -> tuple[int, str]:
        if path.startswith("/api/"):
            body = None if method in ("GET", "DELETE") else fields
            headers = {**self.headers, "Idempotency-Key": re.sub(r"\W", "-", f"{method}{path}{fields}")[:200]}
            answer = self.client.open(path, method=method, json=body, headers=headers)
        else:
            data = {"csrf_token": self.csrf, **fields} if method == "POST" else None
            answer = self.client.open(path, method=method, data=data)
        where = re.sub("next=.*", "", answer.headers.get("Location", ""))
        return answer.status_code, answer.text + where


@pytest.fixture
def site(settings: Settings) -> Iterator[Flask]:
    changes = {"console_secret": "x" * 32, "console_https": False}
    app = create_app(as_role(Settings(**{**settings.model_dump(), **changes}), DatabaseRole.CONSOLE))
    yield app
    app.extensions["spp_engine"].dispose()


@pytest.fixture
def gym(session: Session) -> Gym:
    return build(session)


def person(site: Flask, session: Session, name: str) -> tuple[Person, Staff]:
    email = f"{name}@example.com"
    staff = accounts.add(session, email=email, name=name, role=Role.ADMIN, password=PASSWORD, by=BY, now=NOW)
    token = tokens.make(session, staff, name=name, scope=TokenScope.WRITE, by=BY).text
    session.commit()
    client = site.test_client()
    found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', client.get("/login").text)
    assert found
    form = {"csrf_token": found[1], "email": email, "password": PASSWORD}
    assert client.post("/login", data=form).status_code == 302
    found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', client.get("/staff/password").text)
    assert found
    return Person(client, {"Authorization": f"Bearer {token}"}, found[1]), staff


def live(gym: Gym, session: Session, membership: Membership, item_id: int, of: str) -> dict[str, int]:
    """Something of every kind for a member; the ids by their names in paths."""
    then, member_id = NOW - timedelta(days=26), membership.member_id
    add_billing_reference(session, membership, "stripe", f"sub_{of}", by=BY)
    add_billing_reference(session, membership, "stripe", f"sub_{of}_unheard", by=BY)
    tell(session, paid(f"in_{of}", f"sub_{of}", at=then, amount=4567), now=NOW)
    tell(session, Announced(f"sub_{of}", NOW, Change.ENDS, NOW + timedelta(days=400)), now=NOW)
    redeem(session, member_id=member_id, item_id=item_id, quantity=1, key=f"key_{of}", by=BY, now=NOW)
    asked = adjustments.adjust(
        session, member_id=member_id, item_id=item_id, quantity=90, last_day=None, reason=AdjustmentReason.GOODWILL,
        note=f"for {of}", alone_up_to=1, key=f"asked_{of}", by=BY, now=NOW,
    )  # fmt: skip
    day = date(2030, 1, 2)
    frozen = life.freeze(session, membership, first=day, last=day, reason=f"for {of}", by=BY, now=NOW)
    closed = life.close(
        session, membership.club, scope=Scope.ALL, first=day, last=day, reason=f"for {of}", by=BY, now=NOW
    )
    session.commit()
    one = "SELECT min({0}) FROM {1} WHERE {2}"
    ids = {
        name: session.scalars(text(one.format(column, table, where)), {"member": member_id}).one()
        for name, column, table, where in (
            ("grant_id", "id", "credit_grants", "member_id = :member"),
            ("entry_id", "e.id", "ledger_entries e JOIN credit_grants g ON g.id = e.grant_id", "g.member_id = :member"),
            ("redemption_id", "id", "redemptions", "member_id = :member"),
            ("payment_id", "p.id", "payments p JOIN memberships m ON m.id = p.membership_id", "m.member_id = :member"),
        )
    }
    fact = session.scalars(text("SELECT max(id) FROM payment_facts WHERE kind = 'announced'")).one()
    same = {"member_id": member_id, "from_member_id": member_id, "gone_id": member_id, "with": member_id}
    life_id = frozen.act.id
    return ids | same | {
        "member": member_id, "membership_id": membership.id, "to_membership_id": membership.id,
        "membership": membership.id, "into": membership.id, "club_id": membership.club_id, "club": membership.club_id,
        "life_id": life_id, "freeze_id": life_id, "closure_id": closed.act.id, "payment": ids["payment_id"],
        "adjustment_id": asked.id, "fact_id": fact, "announcement_id": fact,
    }  # fmt: skip


def paths(site: Flask) -> Iterator[tuple[str, str, Rule]]:
    """Each method and view, with its rule."""
    for rule in site.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield rule.endpoint, method, rule


def path_of(rule: Rule, ids: dict[str, int]) -> str:
    values = {"offer_id": 1, "item_id": 1, "term_id": 1, "bucket_id": 1, "payment_term_id": 1, "name": "members", **ids}
    return re.sub(r"<(?:\w+:)?(\w+)>", lambda found: str(values.get(found[1], 1)), rule.rule)


def contents(session: Session) -> dict[str, str]:
    """What every table has, but for what logging in and reading leave behind."""
    session.rollback()
    left = {"actions", "logins", "login_failures", "heartbeats", "api_tokens", "staff"}
    return {
        name: session.scalars(text(f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {name} t")).one()
        for name in Base.metadata.tables.keys() - left
    }


def test_nothing_of_another_club_is_shown_or_done_by_any_route(site: Flask, gym: Gym, session: Session) -> None:
    other = gym.forgiving_club()
    gym.club.name, other.name = "Near", "Uptown"
    members = {}
    for of, club in (("near", gym.club), ("far", other)):
        members[of] = sign_up(
            session, email=f"{of}@mail.test", name=f"{of.title()} Doe", club=club, term=gym.term,
            picks=[gym.spin, gym.training], by=BY, now=NOW,
        )  # fmt: skip
        extra = sign_up(
            session, email=f"{of}2@mail.test", name=f"{of.title()} Two", club=club, term=gym.term,
            picks=[gym.spin], by=BY, now=NOW,
        )  # fmt: skip
        assert extra.club is club
    session.commit()
    near = live(gym, session, members["near"], gym.spin.id, "near")
    far = live(gym, session, members["far"], gym.spin.id, "far")
    everybody, _ = person(site, session, "all")
    bound, staff = person(site, session, "bound")
    assert bound.open("GET", f"/members/{far['member_id']}")[0] == 200
    accounts.bind(session, staff, [gym.club.id], by=BY)
    session.commit()
    before = contents(session)
    signs = re.compile(r"\bFar (Doe|Two)|far2?@mail|Uptown|_far\b|for far", re.IGNORECASE)
    wrong: list[object] = []
    shown_to_all, own = set(), set()
    for endpoint, method, rule in paths(site):
        if endpoint in TO_EVERYBODY:
            continue
        path, listed = path_of(rule, far) + ASKED.get(endpoint, ""), endpoint in FILTERED | COMMON
        names = ("member_id", "membership_id", "club_id") if rule.rule.startswith("/api/") else far
        fields = {} if method == "GET" else {name: far[name] for name in names}
        status, page = bound.open(method, path, **fields)
        if said := signs.search(page.replace(path, "")):
            wrong.append((method, path, page[max(0, said.start() - 200) : said.end() + 50]))
        if listed and method == "GET":
            if signs.search(everybody.open(method, path)[1]):
                shown_to_all.add(endpoint)
            if re.search(r"near\b", page, re.IGNORECASE):
                own.add(endpoint)
        elif not listed:
            guarded = bool(GUARDED.keys() & rule.arguments) and endpoint not in bounds.HOUSE
            of_house = endpoint.startswith(HOUSE)
            if status != (404 if guarded else 403) or guarded == of_house:
                wrong.append((method, path, status, f"decide whose {endpoint} is: console/bounds.py"))
    assert wrong == [], "\n".join(map(str, wrong))
    for path, fields in (
        ("/api/v1/redemptions", {"member_id": far["member_id"], "item_id": gym.spin.id, "quantity": 1}),
        (
            "/api/v1/redemptions",
            {"member_id": near["member_id"], "item_id": gym.spin.id, "quantity": 1, "club_id": other.id},
        ),
        (
            "/api/v1/adjustments",
            {"member_id": far["member_id"], "item_id": gym.spin.id, "quantity": 1, "reason": "goodwill", "note": "x"},
        ),
        (
            "/api/v1/memberships",
            {"email": "new@mail.test", "name": "New", "club_id": other.id, "payment_term_id": gym.term.id},
        ),
        (f"/api/v1/members/{near['member_id']}/merges", {"from_member_id": far["member_id"], "reason": "x"}),
        (f"/api/v1/memberships/{near['membership_id']}/club-changes", {"club_id": other.id, "reason": "x"}),
        (
            f"/api/v1/announcements/{far['announcement_id']}/applications",
            {"membership_id": far["membership_id"], "reason": "x"},
        ),
        (f"/members/{near['member_id']}/redeem", {"item_id": str(gym.spin.id), "club_id": str(other.id)}),
        (f"/members/{near['member_id']}/merge?with={far['member_id']}", {"reason": "x"}),
        (f"/memberships/{near['membership_id']}/club", {"club": str(other.id), "reason": "x"}),
        (f"/memberships/{near['membership_id']}/references", {"which": "stripe sub_near", "into": str(far["into"])}),
        (f"/review/{near['payment_id']}/link", {"membership": str(far["membership_id"])}),
        ("/sign-up/", {"club": str(other.id), "email": "new@mail.test", "name": "New"}),
    ):
        assert bound.open("POST", path, **fields)[0] == 404, (path, fields)
    assert contents(session) == before
    gets = {endpoint for endpoint, method, _ in paths(site) if method == "GET"}
    numbers = {"exports.overview", "api.count_reviews", "api.get_moving_in"}
    numbers |= {"reports.busy_hours_csv", "api.report_busy_hours", "api.download_report_busy_hours"}
    assert gets & FILTERED - shown_to_all == numbers
    assert shown_to_all <= own
    for counted in ("/api/v1/reviews/counts", "/api/v1/moving-in"):
        assert bound.open("GET", counted) != everybody.open("GET", counted)
    assert bound.open("GET", f"/members/{near['member_id']}")[0] == 200
    offer = bound.open("GET", f"/offers/{gym.offer.id}")[1]
    assert ("Manage Session Buckets" in offer, 'href="/sign-up/"' in offer) == (False, True)
