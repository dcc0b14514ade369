"""The console as people of each role meet it, over the app's own client."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from html import unescape
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from console.web.app import create_app
from models.staff import accounts
from models.staff.accounts import Role
from models.staff.actions import Actor
from runtime.settings import DatabaseRole, Settings
from tests.database_roles import as_role
from tests.models.gym import Gym, build

PASSWORD = "correct horse battery"
LOG_IN = "/login"


@dataclass
class Browser:
    """A person's client. It sends the CSRF token and the fingerprint of terms that the page before carried."""

    client: FlaskClient
    token: str = ""
    shown: str = ""
    page: str = ""
    """The last page as text."""

    def get(self, path: str, **more: Any) -> TestResponse:
        return self._seen(self.client.get(path, **more))

    def post(self, path: str, follow: bool = True, **fields: Any) -> TestResponse:
        """Sends a form's fields; follows the redirect after it."""
        data = {"csrf_token": self.token, "shown": self.shown, **fields}
        return self._seen(self.client.post(path, data=data, follow_redirects=follow))

    @property
    def text(self) -> str:
        """What the last page says, without its markup."""
        bare = re.sub(r"<(script|style|title)\b.*?</\1>|<[^>]+>", " ", self.page, flags=re.DOTALL)
        return re.sub(r"\s+", " ", unescape(bare)).strip()

    def _seen(self, response: TestResponse) -> TestResponse:
        self.page = response.get_data(as_text=True)
        if found := re.search(r'name="csrf_token"[^>]*value="([^"]+)"', self.page):
            self.token = found[1]
        if found := re.search(r'name="shown"[^>]*value="([^"]*)"', self.page):
            self.shown = found[1]
        return response


@pytest.fixture
def gym(session: Session) -> Gym:
    """What tests.models.gym builds, committed, so that the console sees it."""
    gym = build(session)
    session.commit()
    return gym


@pytest.fixture
def site(settings: Settings) -> Iterator[Flask]:
    """The console, without HTTPS, as on one machine."""
    changes = {"console_secret": "x" * 32, "console_https": False}
    app = create_app(as_role(Settings(**{**settings.model_dump(), **changes}), DatabaseRole.CONSOLE))
    app.testing = True
    yield app
    app.extensions["spp_engine"].dispose()


@pytest.fixture
def log_in(site: Flask, session: Session) -> Callable[[Role], Browser]:
    """Logs in a person of that role, made for it: `ROLE@example.com`."""

    def enter(role: Role = Role.ADMIN) -> Browser:
        email = f"{role}@example.com"
        if accounts.find(session, email) is None:
            by = Actor("tests", "here")
            accounts.add(session, email=email, name=role.title(), role=role, password=PASSWORD, by=by, now=NOW)
            session.commit()
        browser = Browser(site.test_client())
        browser.get(LOG_IN)
        assert browser.post(LOG_IN, follow=False, email=email, password=PASSWORD).status_code == 302
        return browser

    return enter


@pytest.fixture
def stranger(site: Flask) -> Browser:
    """Somebody who has not logged in."""
    return Browser(site.test_client())


NOW = datetime.now(UTC)
