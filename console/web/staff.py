"""Staff accounts and their roles, and everybody's own password."""

import secrets
from collections.abc import Callable

from flask import abort, current_app, request, url_for
from flask_login import current_user
from sqlalchemy import func, select
from wtforms import PasswordField, SelectChoice, SelectField
from wtforms.validators import EqualTo, InputRequired, Length, Optional

from console import links
from console.request import actor, database, utc_now
from console.web.access import Answer, Pages, Role
from console.web.fields import Checks, text_field
from console.web.formats import words
from console.web.forms import Form, page, pressed
from console.web.login import begin_session, login_failed
from models.catalogue.clubs import Club
from models.database.naming import MAX_NAME_LENGTH
from models.errors import WrongLogin, WrongPassword
from models.staff import accounts, logins, second_factor
from models.staff.accounts import MIN_PASSWORD_LENGTH, Staff
from models.staff.tokens import ApiToken
from runtime.language import Texts, noted, say

pages = Pages("staff", __name__, url_prefix="/staff")

MAY: Texts = {
    Role.VIEWER: "Viewer: sees members and the catalogue",
    Role.DESK: "Desk: also signs up, redeems and gives back",
    Role.MANAGER: "Manager: also builds offers, approves and extends",
    Role.OPERATOR: "Operator: sees what viewers see, and repairs and pauses in Operations",
    Role.ADMIN: "Admin: all of that, and staff accounts and API tokens",
}
_MAX_PASSWORD_LENGTH = 1000
_NEW_PASSWORD = {"autocomplete": "new-password"}


def _at_least() -> str:
    return say("At least {n} characters.", n=MIN_PASSWORD_LENGTH)


def _new_password(description: Callable[[], str] = _at_least) -> PasswordField:
    checks = [InputRequired("Type the new password."), Length(max=_MAX_PASSWORD_LENGTH)]
    return PasswordField("New password", checks, description=description, render_kw=_NEW_PASSWORD)


def _clubs() -> Checks:
    known = select(Club).order_by(func.lower(Club.name))
    return Checks(
        "Clubs",
        choices=lambda: [(club.id, club.name) for club in database().scalars(known)],
        description=noted(
            "What the person sees and does is of these clubs. None ticked: all clubs, also those to come."
        ),
    )


def _role() -> SelectField:
    return SelectField("Role", choices=[SelectChoice(str(role), text) for role, text in MAY.items()])


class AccountForm(Form):
    """A new account."""

    email = text_field("E-mail", "Type the address to log in with.", most=MAX_NAME_LENGTH, type="email")
    name = text_field("Name", "Type the person's name.", most=MAX_NAME_LENGTH)
    role = _role()
    clubs = _clubs()
    password = _new_password(
        lambda: f"{_at_least()} {say('Hand it over in person; it can be changed after logging in.')}"
    )


class RoleForm(Form):
    """Another role."""

    role = _role()


class ClubsForm(Form):
    """The clubs that an account is bound to."""

    clubs = _clubs()


class PasswordForm(Form):
    """A new password for somebody."""

    password = _new_password()


class OwnPasswordForm(Form):
    """A new password for oneself."""

    current = PasswordField(
        "Password now",
        [InputRequired("Type the password that you log in with.")],
        render_kw={"autocomplete": "current-password"},
    )
    password = _new_password()
    again = PasswordField(
        "The new password again", [EqualTo("password", "This is not the same as above.")], render_kw=_NEW_PASSWORD
    )


@pages.page("/", Role.ADMIN)
def overview() -> Answer:
    """The accounts: those in use by name, then the disabled ones."""
    return _page("list")


@pages.form("/new", Role.ADMIN)
def new() -> Answer:
    """Add an account."""
    form, way = AccountForm(), links.of(current_app)
    if way:
        form.password.validators = [Optional(), *form.password.validators[1:]]
        left_empty = say("Left empty, a mail with a link to choose one goes to the person.")
        form.password.description = f"{form.password.description} {left_empty}"

    def act() -> tuple[str, str]:
        if way and not form.password.data:
            way.mail(form.text("email"), actor(), invited=True)
        person = accounts.add(
            database(),
            email=form.text("email"),
            name=form.text("name"),
            role=Role(form.role.data),
            password=form.password.data or secrets.token_urlsafe(),
            by=actor(),
            now=utc_now(),
        )
        accounts.bind(database(), person, form.clubs.data, by=actor())
        return say("{name} can log in as {email}.", name=person.name, email=person.email), url_for(".overview")

    return form.submitted(act) or _page("new", form=form)


@pages.page("/<id:staff_id>", Role.ADMIN)
def show(staff_id: int) -> Answer:
    """One account, and what can be done to it."""
    return _account(_find(staff_id))


@pages.button("/<id:staff_id>/role", Role.ADMIN)
def change_role(staff_id: int) -> Answer:
    """Give the person another role."""
    person, form = _find(staff_id), RoleForm()

    def act() -> tuple[str, str]:
        accounts.change_role(database(), person, Role(form.role.data), by=actor())
        return say("{name} is {role} now.", name=person.name, role=_role_in_words(person)), _back(person)

    return form.submitted(act) or _account(person, role_form=form)


@pages.button("/<id:staff_id>/clubs", Role.ADMIN)
def bind(staff_id: int) -> Answer:
    """Bind the person to clubs, or to none."""
    person, form = _find(staff_id), ClubsForm()

    def act() -> tuple[str, str]:
        accounts.bind(database(), person, form.clubs.data, by=actor())
        return say("{name} sees {clubs}.", name=person.name, clubs=_club_names(person)), _back(person)

    return form.submitted(act) or _account(person, clubs_form=form)


@pages.button("/<id:staff_id>/password", Role.ADMIN)
def change_password(staff_id: int) -> Answer:
    """Give the person a new password, which ends their sessions."""
    person, form = _find(staff_id), PasswordForm()

    def act() -> tuple[str, str]:
        logins.change_password(database(), person, form.password.data, by=actor(), now=utc_now())
        return say("{name} has a new password, and has to log in with it.", name=person.name), _back(person)

    return form.submitted(act) or _account(person, password_form=form)


@pages.button("/<id:staff_id>/second-factor", Role.ADMIN)
def remove_second_factor(staff_id: int) -> Answer:
    """Let somebody who lost their second factor log in with the password alone, until they set it up again."""
    person = _find(staff_id)

    def act() -> str:
        second_factor.turn_off(database(), person, by=actor())
        text = noted("{name} logs in with the password alone, and can set up a second factor again.")
        return say(text, name=person.name)

    return pressed(act, _back(person))


@pages.button("/<id:staff_id>/invitation", Role.ADMIN)
def invite(staff_id: int) -> Answer:
    """Mail the person a link to choose a password."""
    person, way = _find(staff_id), links.of(current_app) or abort(404)

    def act() -> str:
        way.mail(person.email, actor(), invited=True)
        return say("A link to choose a password is on its way to {email}.", email=person.email)

    return pressed(act, _back(person))


@pages.button("/<id:staff_id>/disable", Role.ADMIN)
def disable(staff_id: int) -> Answer:
    """End the account's use."""
    person = _find(staff_id)

    def act() -> str:
        accounts.disable(database(), person, by=actor(), now=utc_now())
        return say("{name} cannot log in any more, and is logged out.", name=person.name)

    return pressed(act, _back(person))


@pages.button("/<id:staff_id>/enable", Role.ADMIN)
def enable(staff_id: int) -> Answer:
    """Let the account be used again."""
    person = _find(staff_id)

    def act() -> str:
        accounts.enable(database(), person, by=actor(), now=utc_now())
        return say("{name} can log in again, as {role}.", name=person.name, role=_role_in_words(person))

    return pressed(act, _back(person))


@pages.form("/password", Role.VIEWER)
def own_password() -> Answer:
    """Change one's own password, which ends one's other sessions."""
    form, now = OwnPasswordForm(), utc_now()
    email, address = current_user.account.email, request.remote_addr or ""

    def act(person: Staff) -> tuple[str, str]:
        logins.change_password(database(), person, form.password.data, by=actor(), now=now)
        begin_session(person)
        text = say("Your password is changed. Wherever else you were logged in, you are logged out.")
        return text, url_for("start.home")

    answer = None
    if form.validate_on_submit():
        known = logins.check(database(), email=email, password=form.current.data, address=address, now=now)
        if isinstance(known, Staff):
            answer = form.submitted(lambda: act(known))
        else:
            login_failed(known)
            known.field = "current"
            form.refuse(WrongPassword() if isinstance(known, WrongLogin) else known)
    return answer or page("staff/password.html", form=form)


def _find(staff_id: int) -> Staff:
    return database().get(Staff, staff_id) or abort(404)


def _back(person: Staff) -> str:
    """The list; after a change of one's own account the start, because the list may be closed to one then."""
    return url_for("start.home" if person.id == current_user.account.id else ".overview")


def _account(person: Staff, **forms: Form) -> Answer:
    tokens = select(func.count()).where(ApiToken.staff_id == person.id, ApiToken.revoked_at.is_(None))
    given = {
        "role_form": RoleForm(formdata=None, role=person.role),
        "clubs_form": ClubsForm(formdata=None, clubs=person.club_ids or []),
        "password_form": PasswordForm(formdata=None),
    }
    return _page("account", person=person, tokens=database().scalar(tokens), **{**given, **forms})


def _role_in_words(person: Staff) -> str:
    return words(person.role).lower()


def _club_names(person: Staff) -> str:
    of_these = select(Club.name).where(Club.id.in_(person.club_ids or [])).order_by(func.lower(Club.name))
    return ", ".join(database().scalars(of_these)) or say("all clubs")


def _mails() -> bool:
    return links.of(current_app) is not None


def _page(template: str, **window: object) -> Answer:
    people = database().scalars(select(Staff).order_by(Staff.disabled_at.is_not(None), func.lower(Staff.name)))
    return page(f"staff/{template}.html", people=people.all(), club_names=_club_names, mails=_mails(), **window)
