"""The API as a program with a token meets it, over the console app's own client, on a gym with paid members."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from console.web.app import create_app
from models.members.memberships import Membership
from models.staff import accounts, tokens
from models.staff.accounts import Role, Staff
from models.staff.actions import Actor
from models.staff.tokens import ApiToken, TokenScope
from runtime.settings import DatabaseRole, Settings
from tests.database_roles import as_role
from tests.models.gym import Gym, build, fresh, paid, tell

BY = Actor("tests", "here")
PAID_AT = datetime.now(UTC) - timedelta(hours=1)
ROOT = "/api/v1"
PASSWORD = "correct horse battery"


Json = dict[str, Any]


def posted(response: TestResponse, status: int = 201) -> Json:
    """What an act answered; fails where it was not answered with that status."""
    return answered(response, status)


def answered(response: TestResponse, status: int = 200) -> Json:
    """What was answered; fails where it was not with that status, or no JSON, or a problem that is none."""
    assert response.status_code == status, response.text
    body: Json = response.get_json(force=True)
    if status >= 400:
        assert response.mimetype == "application/problem+json"
        assert body["status"] == status
    return body


@dataclass
class Caller:
    """A program with a token."""

    client: FlaskClient
    headers: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, **query: Any) -> TestResponse:
        return self.client.get(ROOT + path, query_string=query, headers=self.headers)

    def post(self, path: str, body: object, key: str | None = None, **headers: str) -> TestResponse:
        """Sends a body as JSON, with an idempotency key."""
        more = {} if key is None else {"Idempotency-Key": key}
        return self.client.post(ROOT + path, json=body, headers={**self.headers, **more, **headers})

    def make(self, path: str, body: object) -> Json:
        """What a body makes, under a key of its own."""
        return posted(self.post(path, body, fresh("key")))

    def patch(self, path: str, **changes: object) -> TestResponse:
        return self.client.patch(ROOT + path, json=changes, headers=self.headers)

    def delete(self, path: str) -> TestResponse:
        return self.client.delete(ROOT + path, headers=self.headers)

    def data(self, path: str, **query: Any) -> list[Json]:
        """What a list has on its page."""
        rows: list[Json] = answered(self.get(path, **query))["data"]
        return rows

    def pages(self, path: str, **query: Any) -> Iterator[list[Json]]:
        """A list, page by page."""
        cursor = None
        while cursor or cursor is None:
            page = answered(self.get(path, **query, **({"cursor": cursor} if cursor else {})))
            yield page["data"]
            cursor = page["next_cursor"] or False

    def usable(self, member_id: int, item: str) -> int:
        """Sessions that the member can redeem."""
        return next((row["usable"] for row in self.data(f"/members/{member_id}/balances") if row["item"] == item), 0)


@pytest.fixture
def site(settings: Settings) -> Iterator[Flask]:
    """The console's app, which has the API."""
    changes = {"console_secret": "x" * 32, "console_https": False}
    app = create_app(as_role(Settings(**{**settings.model_dump(), **changes}), DatabaseRole.CONSOLE))
    yield app
    app.extensions["spp_engine"].dispose()


@pytest.fixture
def gym(session: Session) -> Gym:
    """What tests.models.gym builds, committed."""
    return build(session)


@dataclass
class Paid:
    """A member with 8 classes and 2 trainings, paid for an hour ago."""

    membership: Membership

    @property
    def id(self) -> int:
        return self.membership.member_id


@pytest.fixture
def ada(session: Session, gym: Gym) -> Paid:
    membership = gym.join("sub_ada")
    tell(session, paid("in_1", "sub_ada", at=PAID_AT), now=PAID_AT)
    return Paid(membership)


@pytest.fixture
def owner(session: Session) -> Staff:
    """Whose tokens they are."""
    person = accounts.add(
        session,
        email="desk@example.com",
        name="Desk",
        role=Role.DESK,
        password=PASSWORD,
        by=BY,
        now=PAID_AT,
    )
    session.commit()
    return person


@dataclass
class Token:
    """A token and a program that has it."""

    token: ApiToken
    caller: Caller


Issue = Callable[..., Token]


@pytest.fixture
def issue(site: Flask, session: Session, owner: Staff) -> Issue:
    """Makes a token of that scope, for an account of that role."""

    def make(scope: TokenScope, role: Role = Role.DESK) -> Token:
        person = owner
        if role != Role.DESK:
            person = accounts.add(
                session,
                email=f"{fresh(role)}@example.com",
                name=role,
                role=role,
                password=PASSWORD,
                by=BY,
                now=PAID_AT,
            )
        token, text = tokens.make(session, person, name=fresh("Scheduler"), scope=scope, by=BY)
        session.commit()
        return Token(token, Caller(site.test_client(), {"Authorization": f"Bearer {text}"}))

    return make


@pytest.fixture
def reader(issue: Issue) -> Caller:
    return issue(TokenScope.READ).caller


@pytest.fixture
def api(issue: Issue) -> Caller:
    """One that may write."""
    return issue(TokenScope.WRITE).caller


@pytest.fixture
def manager(issue: Issue) -> Caller:
    """One that may also build offers and put expiries off."""
    return issue(TokenScope.WRITE, Role.MANAGER).caller


@pytest.fixture
def stranger(site: Flask) -> Caller:
    return Caller(site.test_client())
