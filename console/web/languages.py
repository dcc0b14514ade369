"""The language of a page: a person's own choice, else that of the club or, before anybody logs in, of the browser.

The texts are the catalogues in `translations`, one .po file for each language, made by `make translations`.
"""

from functools import lru_cache
from io import BytesIO
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations
from flask import Flask, abort, redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import Babel
from flask_login import current_user
from sqlalchemy import text
from sqlalchemy.orm import Session

from console.request import database, open_to_all
from console.web.access import Pages
from console.web.login import local_target
from models import retelling
from models.staff import accounts
from models.staff.accounts import Staff
from runtime import language
from runtime.language import ENGLISH, LOCALES, Language, Spoken

pages = Pages("languages", __name__, url_prefix="/language")
FOLDER = Path(__file__).parent / "translations"

_OF_CLUB = text("""
    SELECT coalesce(
        (SELECT locale FROM clubs WHERE id = :club),
        (SELECT c.locale FROM memberships m JOIN clubs c ON c.id = m.club_id WHERE m.id = :membership),
        (SELECT c.locale FROM memberships m JOIN clubs c ON c.id = m.club_id WHERE m.member_id = :member
         ORDER BY m.id DESC LIMIT 1),
        (SELECT locale FROM clubs ORDER BY id LIMIT 1)
    )
""")


@lru_cache
def spoken(locale: str) -> Language:
    """The language of a locale, its texts read once in a process from its .po file."""
    if locale == ENGLISH:
        return language.SOURCE
    made = BytesIO()
    with (FOLDER / locale / "LC_MESSAGES" / "messages.po").open("rb") as written:
        write_mo(made, read_po(written, locale=locale))
    made.seek(0)
    return Language(locale, Translations(made))


def install(app: Flask) -> None:
    """Write each page in its language, and everything else in US English."""

    @app.before_request
    def choose() -> None:
        speaks = not request.path.startswith("/api/") and (request.endpoint or "").split(".")[-1] != "static"
        language.speak(spoken(_of_request()) if speaks else language.SOURCE)

    @app.teardown_request
    def leave(error: BaseException | None) -> None:  # noqa: ARG001
        language.speak()

    Babel(app, locale_selector=language.locale, configure_jinja=False)  # for what WTForms says
    app.jinja_env.add_extension("jinja2.ext.i18n")
    app.jinja_env.install_gettext_callables(language.translated, language.translated_n, newstyle=True)  # type: ignore[attr-defined]
    app.jinja_env.filters["translated"] = retelling.retold
    app.context_processor(lambda: {"locale": language.locale(), "locales": LOCALES})


def _of_request() -> str:
    if current_user.is_authenticated and (own := current_user.account.locale):
        return str(own)
    if (chosen := session.get("locale")) in LOCALES:
        return str(chosen)
    if current_user.is_authenticated and (of_club := _of_club(database())):
        return of_club
    return _of_browser()


def _of_club(asked: Session) -> str | None:
    """The locale of the club that the page is about, or of whose member; else of the first club."""
    about = request.view_args or {}
    named = {name: about.get(f"{name}_id") for name in ("club", "membership", "member")}
    found: str | None = asked.scalar(_OF_CLUB, named)
    return found


def _of_browser() -> str:
    """What the browser asks for, among ours. English that is not American is British."""
    for tag, _ in request.accept_languages:
        match tag.replace("_", "-").lower().split("-"):
            case ["en", "us" | "ca", *_] | ["en"]:
                return ENGLISH
            case ["en", *_]:
                return "en_GB"
            case ["es", *_]:
                return "es"
    return ENGLISH


@pages.post("/")
@open_to_all
def choose() -> ResponseReturnValue:
    """Keep the choice of whoever is logged in, or of the browser; then back to the page that it was made on."""
    locale = request.form.get("locale", "")
    if locale not in LOCALES:
        abort(404)
    if current_user.is_authenticated:
        accounts.choose_locale(database().get_one(Staff, current_user.account.id), Spoken(locale))
    else:
        session["locale"] = locale
    return redirect(local_target(request.form.get("next")) or url_for("start.home"))
