"""Logging in and out, what a session is worth, and what every answer carries."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
import time_machine
from flask import Flask, Response, request
from sqlalchemy import Engine, event, func, select, text
from sqlalchemy.orm import Session

from console.request import database, open_to_all
from console.web import login
from console.web.access import needs
from console.web.app import CONTENT_SECURITY_POLICY, create_app
from models.catalogue.tables import Offer
from models.staff import accounts
from models.staff.accounts import Role
from models.staff.actions import Action
from models.staff.logins import Login
from runtime.settings import Settings
from tests.console.web.conftest import LOG_IN, NOW, PASSWORD, Browser

LogIn = Callable[[Role], Browser]
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def ada(log_in: LogIn) -> Browser:
    """admin@example.com, logged in."""
    return log_in(Role.ADMIN)


def attempt(browser: Browser, email: str = "admin@example.com", password: str = PASSWORD, to: str = LOG_IN) -> int:
    browser.get(LOG_IN)
    return browser.post(to, follow=False, email=email, password=password).status_code


@pytest.mark.parametrize("path", ["/members/", "/nowhere", "/api/v1/members/1"])
def test_a_connection_that_dies_at_the_very_end_changes_no_answer(
    site: Flask, log_in: LogIn, engine: Engine, path: str
) -> None:
    cutting = []

    @site.after_request
    def cut(response: Response) -> Response:
        if cutting:
            pid = database().scalar(text("SELECT pg_backend_pid()"))
            with engine.connect() as other:
                cutting.append(other.scalar(text("SELECT pg_terminate_backend(:pid, 30000)"), {"pid": pid}))
        return response

    ada = log_in(Role.ADMIN)
    expected = ada.get(path).status_code
    cutting.append(path)
    assert ada.get(path).status_code == expected
    assert cutting == [path, True]


def test_who_logs_in_sees_the_start(ada: Browser) -> None:
    assert ada.get("/", follow_redirects=True).status_code == 200
    assert "Log out" in ada.text


def test_who_is_logged_in_needs_no_login_page(ada: Browser) -> None:
    assert ada.get(LOG_IN).headers["Location"] == "/"


class TestLoggingIn:
    def test_a_stranger_comes_back_to_the_page_that_was_asked_for(self, ada: Browser, stranger: Browser) -> None:
        where = stranger.get("/members/?q=ann&after=1").headers["Location"]
        assert where.startswith("/login?next=")
        stranger.get(where)
        answer = stranger.post(where, follow=False, email="admin@example.com", password=PASSWORD)
        assert answer.headers["Location"] == "/members/?q=ann&after=1"

    def test_nobody_comes_back_to_what_is_no_page(self, stranger: Browser) -> None:
        assert stranger.get("/").headers["Location"] == "/login"
        assert stranger.post("/staff/new", follow=False).headers["Location"] == "/login"

    @pytest.mark.parametrize(
        "target",
        [
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "\t//evil.example",
            " //evil.example",
            "/\0/evil.example",
            "javascript:alert(1)",
            "evil.example",
            "///evil.example",
            "/a\r\nSet-Cookie: x=y",
            "",
            "/\u2028/x",
            "http:evil.example",
        ],
    )
    def test_a_login_sends_nobody_elsewhere(self, ada: Browser, stranger: Browser, target: str) -> None:
        stranger.get(LOG_IN)
        path = f"{LOG_IN}?next={quote(target, safe='')}"
        answer = stranger.post(path, follow=False, email="admin@example.com", password=PASSWORD)
        assert (answer.status_code, answer.headers["Location"]) == (302, "/")

    @pytest.mark.parametrize(
        ("email", "password"),
        [
            ("admin@example.com", "swordfish"),
            ("nobody@example.com", PASSWORD),
            ("a" * 100_000, "b" * 100_000),
            ("a\0b@example.com", "\0hush"),
            ("é@例え.jp", "パスワード"),
            ("admin@example.com\r\n", "tuna fish"),
            ("'; --", "%s {} %(x)s"),
        ],
        ids=range(7),
    )
    def test_what_is_wrong_is_told_in_one_way(self, ada: Browser, stranger: Browser, email: str, password: str) -> None:
        assert attempt(stranger, email, password) == 401
        assert "The e-mail address or the password is wrong." in stranger.text
        assert password.strip("\0") not in stranger.page

    @pytest.mark.parametrize(("email", "password"), [("", "x"), ("x", "")])
    def test_both_are_needed(self, stranger: Browser, email: str, password: str) -> None:
        assert attempt(stranger, email, password) == 200
        assert "This field is required." in stranger.text

    def test_bytes_that_are_no_text_are_refused(self, stranger: Browser) -> None:
        stranger.get(LOG_IN)
        body = f"csrf_token={stranger.token}&email=%ff%fe&password=%ff".encode()
        answer = stranger.client.post(LOG_IN, data=body, content_type="application/x-www-form-urlencoded")
        assert answer.status_code == 401

    def test_too_many_failures_say_when_to_try_again(self, ada: Browser, stranger: Browser) -> None:
        assert [attempt(stranger, password="wrong") for _ in range(6)] == [401] * 5 + [429]
        stranger.get(LOG_IN)
        answer = stranger.post(LOG_IN, follow=False, email="admin@example.com", password=PASSWORD)
        assert answer.status_code == 429
        assert 0 < int(answer.headers["Retry-After"]) <= 900
        assert "Too many failed logins: try again in 15 min." in stranger.text

    def test_a_failure_is_logged_with_its_address_and_without_what_was_typed(
        self, ada: Browser, stranger: Browser, session: Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lines = []
        monkeypatch.setattr(login.log, "warning", lambda event, **said: lines.append((event, said)))
        attempt(stranger, "not-an-account", "typed secret")
        for _ in range(6):
            attempt(stranger, password="typed secret")
        ada.get("/staff/password")
        ada.post("/staff/password", current="typed secret", password=PASSWORD + "!", again=PASSWORD + "!")
        person = accounts.find(session, "admin@example.com")
        assert person
        assert [said["account"] for _, said in lines[:6]] == [None, *[person.id] * 5]
        assert [said["why"] for _, said in lines] == ["WrongLogin"] * 6 + ["TooManyFailures"] * 2
        assert {(event, said["address"]) for event, said in lines} == {("login_failed", "127.0.0.1")}
        assert "typed secret" not in str(lines)

    def test_an_admin_unlocks_a_login_with_a_new_password(
        self, ada: Browser, log_in: LogIn, stranger: Browser, session: Session
    ) -> None:
        log_in(Role.DESK)
        assert [attempt(stranger, "desk@example.com", "wrong") for _ in range(6)] == [401] * 5 + [429]
        person = accounts.find(session, "desk@example.com")
        assert person
        ada.get(f"/staff/{person.id}")
        ada.post(f"/staff/{person.id}/password", password="battery staple")
        assert attempt(stranger, "desk@example.com", "battery staple") == 302

    def test_a_disabled_account_does_not_log_in(self, ada: Browser, log_in: LogIn, session: Session) -> None:
        log_in(Role.DESK)
        person = accounts.find(session, "desk@example.com")
        assert person
        person.disabled_at = NOW
        session.commit()
        assert attempt(Browser(ada.client.application.test_client()), "desk@example.com") == 401

    def test_the_log_has_it_and_failures_not(self, ada: Browser, stranger: Browser, session: Session) -> None:
        attempt(stranger, password="wrong")
        acts = session.scalars(select(Action).where(Action.verb == "log in")).all()
        assert [(act.actor, act.origin) for act in acts] == [("admin@example.com", "127.0.0.1")]


def copied(browser: Browser) -> Browser:
    """Another browser with the same cookie."""
    cookie = browser.client.get_cookie("spp")
    assert cookie
    copy = Browser(browser.client.application.test_client())
    copy.client.set_cookie("spp", cookie.value)
    return copy


class TestFormsSentLoggedOut:
    def test_it_says_that_nothing_was_changed_and_leads_back_to_the_form(self, ada: Browser, session: Session) -> None:
        ada.client.delete_cookie("spp")
        sent_from = {"Referer": "http://localhost/offers/new?from=list"}
        answer = ada.client.post("/offers/new", data={"name": "Gold"}, headers=sent_from)
        assert answer.location == "/login?next=/offers/new?from%3Dlist"
        ada.get(answer.location)
        assert "You were logged out. Nothing was changed: send it again after logging in." in ada.text
        answer = ada.post(answer.location, follow=False, email="admin@example.com", password=PASSWORD)
        assert answer.location == "/offers/new?from=list"
        assert session.scalars(select(Offer)).all() == []

    @pytest.mark.parametrize(
        "sent_from",
        [
            "",
            "http://evil.example/offers/new",
            "https://localhost/x",
            "nonsense",
            "http://localhost//evil.example/x",
            "http://localhost/members/1/redeem",
        ],
        ids=["none", "another site", "another scheme", "no address", "another site in the path", "a button's address"],
    )
    def test_another_site_is_not_led_back_to(self, stranger: Browser, sent_from: str) -> None:
        answer = stranger.client.post("/offers/new", headers={"Referer": sent_from})
        assert answer.location == "/login"


class TestSessions:
    def test_logging_out_ends_it(self, ada: Browser) -> None:
        ada.get("/members/")
        ada.post("/logout")
        assert ada.get("/members/").status_code == 302
        with ada.client.session_transaction() as kept:
            assert "_user_id" not in kept

    def test_what_a_session_held_before_logging_in_is_gone(self, ada: Browser, stranger: Browser) -> None:
        stranger.get(LOG_IN)
        with stranger.client.session_transaction() as planted:
            planted["since"], planted["planted"] = 1, "yes"
        stranger.post(LOG_IN, follow=False, email="admin@example.com", password=PASSWORD)
        with stranger.client.session_transaction() as kept:
            assert "planted" not in kept
        assert stranger.get("/members/").status_code == 200

    def test_who_does_nothing_for_twelve_hours_is_logged_out(self, ada: Browser, stranger: Browser) -> None:
        with time_machine.travel(NOW, tick=True) as clock:
            assert attempt(stranger) == 302
            for _ in range(3):
                clock.shift(11 * HOUR)
                assert stranger.get("/members/").status_code == 200
            clock.shift(13 * HOUR)
            assert stranger.get("/members/").status_code == 302

    def test_after_seven_days_everybody_logs_in_anew(self, site: Flask, ada: Browser) -> None:
        with time_machine.travel(NOW, tick=True) as clock:
            busy = Browser(site.test_client())
            assert attempt(busy) == 302
            for _ in range(16):
                clock.shift(10 * HOUR)
                assert busy.get("/members/").status_code == 200
            clock.shift(10 * HOUR)
            assert busy.get("/members/").status_code == 302
            assert attempt(busy) == 302
            assert busy.get("/members/").status_code == 200

    def test_a_new_password_does_not_prolong_the_seven_days(self, site: Flask, ada: Browser) -> None:
        with time_machine.travel(NOW, tick=True) as clock:
            busy = Browser(site.test_client())
            attempt(busy)
            for _ in range(16):
                clock.shift(10 * HOUR)
                busy.get("/staff/password")
            busy.post("/staff/password", current=PASSWORD, password=PASSWORD + "!", again=PASSWORD + "!")
            assert busy.get("/members/").status_code == 200
            clock.shift(10 * HOUR)
            assert busy.get("/members/").status_code == 302

    def test_logging_out_ends_every_copy_of_its_cookie_and_no_other_login(self, ada: Browser, log_in: LogIn) -> None:
        copy, elsewhere = copied(ada), log_in(Role.ADMIN)
        assert copy.get("/members/").status_code == 200
        ada.get("/members/")
        ada.post("/logout")
        assert copy.get("/members/").status_code == 302
        assert elsewhere.get("/members/").status_code == 200

    def test_a_new_password_of_ones_own_ends_copies_and_other_logins(self, ada: Browser, log_in: LogIn) -> None:
        copy, elsewhere = copied(ada), log_in(Role.ADMIN)
        ada.get("/staff/password")
        ada.post("/staff/password", current=PASSWORD, password=PASSWORD + "!", again=PASSWORD + "!")
        assert ada.get("/members/").status_code == 200
        assert copy.get("/members/").status_code == 302
        assert elsewhere.get("/members/").status_code == 302

    def test_logging_out_without_being_logged_in_does_no_harm(self, stranger: Browser) -> None:
        stranger.get(LOG_IN)
        assert stranger.post("/logout", follow=False).headers["Location"] == LOG_IN

    def test_of_logins_that_are_over_none_stay(self, site: Flask, ada: Browser, session: Session) -> None:
        with time_machine.travel(NOW, tick=True) as clock:
            attempt(Browser(site.test_client()))
            clock.shift(8 * DAY)
            attempt(Browser(site.test_client()))
        assert session.scalar(select(func.count()).select_from(Login)) == 1

    @pytest.mark.parametrize("user", ["x", "", "77 1.0", "1", "\u0661" * 32, "0" * 32])
    def test_a_session_of_nobody_is_none(self, ada: Browser, user: str) -> None:
        with ada.client.session_transaction() as kept:
            kept["_user_id"] = user
        assert ada.get("/members/").status_code == 302

    def test_a_forged_cookie_is_none(self, site: Flask, ada: Browser) -> None:
        cookie = ada.client.get_cookie("spp")
        assert cookie
        other = site.test_client()
        other.set_cookie("spp", cookie.value[:-4] + "AAAA")
        assert other.get("/members/").status_code == 302


class TestForms:
    @pytest.mark.parametrize("token", ["", "x", "IjEi.aaaa.bbbb"])
    def test_without_its_token_nothing_is_done(self, ada: Browser, session: Session, token: str) -> None:
        ada.token = token
        sent: dict[str, Any] = {"email": "zoe@example.com", "name": "Zoe", "role": "desk", "password": PASSWORD}
        assert ada.post("/staff/new", **sent).status_code == 400
        assert "This form is too old" in ada.text
        assert accounts.find(session, "zoe@example.com") is None

    def test_another_persons_token_is_none(self, ada: Browser, log_in: LogIn) -> None:
        other = log_in(Role.MANAGER)
        other.get("/members/")
        ada.token = other.token
        assert ada.post("/logout").status_code == 400
        assert ada.get("/members/").status_code == 200


class TestAnswers:
    def test_what_is_not_there(self, ada: Browser, stranger: Browser) -> None:
        for browser in (ada, stranger):
            assert browser.get("/nowhere").status_code == 404
        assert ada.client.put("/members/").status_code == 405
        assert ada.client.get("/logout").status_code == 405

    def test_too_large_a_form(self, ada: Browser) -> None:
        ada.get("/staff/new")
        assert ada.post("/staff/new", name="x" * 300_000).status_code == 413

    @pytest.mark.parametrize(
        "path",
        ["/login", "/", "/members/", "/nowhere", "/static/console.css", "/healthz", "/logout", "/static/nowhere"],
    )
    def test_every_answer_is_guarded(self, ada: Browser, stranger: Browser, path: str) -> None:
        for browser in (ada, stranger):
            headers = browser.get(path).headers
            assert headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Referrer-Policy"] == "same-origin"
            assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
            assert "unsafe" not in headers["Content-Security-Policy"]
            public = path == "/static/console.css"
            assert ("no-store" in headers["Cache-Control"]) != public

    def test_a_page_that_fails_is_guarded_too_and_keeps_nothing(self, site: Flask, ada: Browser) -> None:
        site.testing, site.config["PROPAGATE_EXCEPTIONS"] = False, False

        def broken() -> str:
            raise RuntimeError("secret detail")

        broken.needs = ("viewer",)  # type: ignore[attr-defined]
        site.view_functions["members.search"] = broken
        answer = ada.get("/members/")
        assert answer.status_code == 500
        assert "secret detail" not in ada.page
        assert answer.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
        assert answer.headers["Cache-Control"] == "no-store"

    def test_a_page_open_to_nobody_in_particular_is_open_to_nobody(self, site: Flask, ada: Browser) -> None:
        def view() -> str:
            return "open"

        site.view_functions["members.search"] = view
        assert ada.get("/members/").status_code == 403
        view.needs = ("viewer",)  # type: ignore[attr-defined]
        assert ada.get("/members/").status_code == 200

    def test_no_page_has_inline_scripts_or_styles(self, ada: Browser) -> None:
        for path in ("/members/", "/sign-up/", "/staff/", "/staff/new", "/tokens/", "/log/", "/staff/password"):
            ada.get(path)
            for inline in (" style=", "<style", " onclick=", " onsubmit=", " onchange=", "javascript:"):
                assert inline not in ada.page, (path, inline)


class TestCookies:
    def test_on_one_machine(self, ada: Browser) -> None:
        cookie = ada.client.get_cookie("spp")
        assert cookie
        assert (cookie.http_only, cookie.same_site, cookie.path, cookie.origin_only) == (True, "Lax", "/", True)

    def test_the_answer_to_a_background_request_leaves_it_as_it_is(self, ada: Browser) -> None:
        ada.get("/inventory/new")
        ada.post("/inventory/new", follow=False, name="Yoga", kind="scheduler_bucket", session_type="class")
        before = ada.client.get_cookie("spp")
        answer = ada.get("/operations/", headers={"X-Background": "yes"})
        assert (answer.status_code, "Set-Cookie" in answer.headers) == (200, False)
        assert ada.client.get_cookie("spp") == before
        ada.get("/inventory/")
        assert "Yoga is added." in ada.text, "the message waits for a page that somebody opens"
        ada.get("/inventory/")
        assert "Yoga is added." not in ada.text

    def test_by_https_only_where_people_come_by_it(self, settings: Settings, ada: Browser) -> None:
        app = create_app(Settings(**{**settings.model_dump(), "console_secret": "x" * 32}))
        app.testing = True
        browser = Browser(app.test_client())
        answer = browser.client.get(LOG_IN, base_url="https://localhost")
        cookie = answer.headers["Set-Cookie"]
        assert cookie.startswith("__Host-spp=")
        for attribute in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
            assert attribute in cookie
        assert "Domain" not in cookie
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
        app.extensions["spp_engine"].dispose()


@pytest.fixture
def behind(settings: Settings, ada: Browser) -> Iterator[Callable[[int], Browser]]:
    """A console with that many trusted proxies before it."""
    apps = []

    def make(proxies: int) -> Browser:
        changes = {"console_secret": "x" * 32, "console_https": False, "trusted_proxies": proxies}
        app = create_app(Settings(**{**settings.model_dump(), **changes}))
        app.testing = True
        apps.append(app)
        return Browser(app.test_client())

    yield make
    for app in apps:
        app.extensions["spp_engine"].dispose()


@pytest.mark.parametrize(
    ("proxies", "origin"), [(0, "127.0.0.1"), (1, "198.51.100.2"), (2, "198.51.100.1"), (4, "127.0.0.1")]
)
def test_forwarded_addresses_are_believed_of_trusted_proxies_only(
    behind: Callable[[int], Browser], session: Session, proxies: int, origin: str
) -> None:
    browser = behind(proxies)
    browser.get(LOG_IN)
    data = {"csrf_token": browser.token, "email": "admin@example.com", "password": PASSWORD}
    forwarded = {"X-Forwarded-For": "203.0.113.9, 198.51.100.1, 198.51.100.2"}
    assert browser.client.post(LOG_IN, data=data, headers=forwarded).status_code == 302
    act = session.scalars(select(Action).where(Action.verb == "log in").order_by(Action.id.desc()).limit(1)).one()
    assert act.origin == origin


def test_no_other_host_or_path_is_believed(behind: Callable[[int], Browser]) -> None:
    browser = behind(1)
    told = lambda: f"{request.host} {request.script_root} {request.host_url}"  # noqa: E731
    browser.client.application.view_functions["members.search"] = open_to_all(told)
    made_up = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Prefix": "/evil", "X-Forwarded-Port": "666"}
    assert browser.get("/members/", headers=made_up).text == "localhost  http://localhost/"
    assert browser.get("/members/", headers={"X-Forwarded-Proto": "https"}).text == "localhost  https://localhost/"


def test_a_database_that_goes_away_during_a_page_is_told(site: Flask, ada: Browser) -> None:
    engine = site.extensions["spp_engine"]

    def refuse(*_: object) -> None:
        raise psycopg.OperationalError("gone")

    def lost() -> str:
        event.listen(engine, "do_connect", refuse)
        database().execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        return "not reached"

    site.view_functions["members.search"] = needs(Role.VIEWER)(lost)
    assert ada.get("/members/").status_code == 503
    assert "Nothing was changed. Try again in a moment." in ada.text
    event.remove(engine, "do_connect", refuse)


def test_without_a_database_the_page_says_so(settings: Settings, ada: Browser) -> None:
    changes = {
        "console_secret": "x" * 32,
        "console_https": False,
        "database_url": "postgresql://nobody@127.0.0.1:1/none",
    }
    app = create_app(Settings(**{**settings.model_dump(), **changes}))
    cookie = ada.client.get_cookie("spp")
    assert cookie
    client = app.test_client()
    client.set_cookie("spp", cookie.value)
    answer = client.get("/members/")
    assert answer.status_code == 503
    assert "The database is not reachable, or busy." in answer.get_data(as_text=True)
    assert answer.headers["Cache-Control"] == "no-store"


def test_what_a_page_does_not_take_is_said_with_what_it_takes(stranger: Browser) -> None:
    answer = stranger.client.put("/login")
    assert (answer.status_code, "POST" in answer.headers["Allow"]) == (405, True)
