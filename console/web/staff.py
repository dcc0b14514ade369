"""Staff accounts: who works here, as what, and everybody's own password."""

from datetime import UTC, datetime

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from sqlalchemy import func, select
from wtforms import PasswordField, SelectChoice, SelectField, StringField
from wtforms.validators import EqualTo, InputRequired, Length

from console.web.access import actor, begin_session, database, done, login_failed, needs, told
from console.web.forms import Form
from models.database.naming import MAX_NAME_LENGTH
from models.errors import (
    InvalidEmail,
    LastAdmin,
    NameMissing,
    PasswordIsLoginName,
    PasswordTooShort,
    SppError,
    StaffExists,
    TextTooLong,
    WrongLogin,
    WrongPassword,
)
from models.staff import accounts, logins
from models.staff.accounts import MIN_PASSWORD_LENGTH, Role, Staff
from models.staff.tokens import ApiToken

pages = Blueprint("staff", __name__, url_prefix="/staff")

MAY = {
    Role.VIEWER: "Viewer: sees members and the catalogue",
    Role.DESK: "Desk: also signs up, redeems and gives back",
    Role.MANAGER: "Manager: also builds offers, approves and extends",
    Role.OPERATOR: "Operator: sees what viewers see, and repairs and pauses in Operations",
    Role.ADMIN: "Admin: all of that, and staff accounts and API tokens",
}
_PASSWORD_ERRORS: dict[type[SppError], str] = {PasswordTooShort: "password", PasswordIsLoginName: "password"}
_ACCOUNT_ERRORS: dict[type[SppError], str] = {
    **_PASSWORD_ERRORS, InvalidEmail: "email", StaffExists: "email", NameMissing: "name", TextTooLong: "name",
}  # fmt: skip
_MAX_PASSWORD_LENGTH = 1000


def _new_password(description: str = f"At least {MIN_PASSWORD_LENGTH} characters.") -> PasswordField:
    required, length = InputRequired("Type the new password."), Length(max=_MAX_PASSWORD_LENGTH)
    return PasswordField("New password", [required, length], description=description,
                         render_kw={"autocomplete": "new-password"})  # fmt: skip


def _role() -> SelectField:
    return SelectField("Role", choices=[SelectChoice(role.value, text) for role, text in MAY.items()])


class AccountForm(Form):
    """A new account."""

    email = StringField("E-mail", [InputRequired("Type the address to log in with."), Length(max=MAX_NAME_LENGTH)],
                        render_kw={"type": "email", "autocomplete": "off"})  # fmt: skip
    name = StringField("Name", [InputRequired("Type the person's name."), Length(max=MAX_NAME_LENGTH)],
                       render_kw={"autocomplete": "off"})  # fmt: skip
    role = _role()
    password = _new_password(
        f"At least {MIN_PASSWORD_LENGTH} characters. Hand it over in person; it can be changed after logging in."
    )


class RoleForm(Form):
    """Another role."""

    role = _role()


class PasswordForm(Form):
    """A new password for somebody."""

    password = _new_password()


class OwnPasswordForm(Form):
    """A new password for oneself."""

    current = PasswordField("Password now", [InputRequired("Type the password that you log in with.")],
                            render_kw={"autocomplete": "current-password"})  # fmt: skip
    password = _new_password()
    again = PasswordField("The new password again", [EqualTo("password", "This is not the same as above.")],
                          render_kw={"autocomplete": "new-password"})  # fmt: skip


@pages.get("/")
@needs(Role.ADMIN)
def overview() -> ResponseReturnValue:
    """The accounts: those in use by name, then the disabled ones."""
    return _page("list")


@pages.route("/new", methods=["GET", "POST"])
@needs(Role.ADMIN)
def new() -> ResponseReturnValue:
    """A new account."""
    form = AccountForm()
    if form.validate_on_submit():
        with form.refusals(_ACCOUNT_ERRORS):
            person = accounts.add(
                database(), email=form.text("email"), name=form.text("name"), role=Role(form.role.data),
                password=form.password.data, by=actor(), now=datetime.now(UTC),
            )  # fmt: skip
        if not form.errors:
            done(f"{person.name} can log in as {person.email}.")
            return redirect(url_for(".overview"))
    return _page("new", form=form)


@pages.get("/<id:staff_id>")
@needs(Role.ADMIN)
def show(staff_id: int) -> ResponseReturnValue:
    """One account, and what can be done to it."""
    return _account(_find(staff_id))


@pages.post("/<id:staff_id>/role")
@needs(Role.ADMIN)
def change_role(staff_id: int) -> ResponseReturnValue:
    """Gives the person another role."""
    person, form = _find(staff_id), RoleForm()
    if form.validate_on_submit():
        with form.refusals({LastAdmin: "role"}):
            accounts.change_role(database(), person, Role(form.role.data), by=actor())
        if not form.errors:
            done(f"{person.name} is {person.role} now.")
            return _back(person)
    return _account(person, role_form=form)


@pages.post("/<id:staff_id>/password")
@needs(Role.ADMIN)
def change_password(staff_id: int) -> ResponseReturnValue:
    """Gives the person a new password, and ends their sessions."""
    person, form = _find(staff_id), PasswordForm()
    if form.validate_on_submit():
        with form.refusals(_PASSWORD_ERRORS):
            logins.change_password(database(), person, form.password.data, by=actor(), now=datetime.now(UTC))
        if not form.errors:
            done(f"{person.name} has a new password, and has to log in with it.")
            return _back(person)
    return _account(person, password_form=form)


@pages.post("/<id:staff_id>/disable")
@needs(Role.ADMIN)
def disable(staff_id: int) -> ResponseReturnValue:
    """Ends the account's use."""
    person = _find(staff_id)
    try:
        with database().begin_nested():
            accounts.disable(database(), person, by=actor(), now=datetime.now(UTC))
        done(f"{person.name} cannot log in any more, and is logged out.")
    except LastAdmin as error:
        told(error)
    return _back(person)


@pages.post("/<id:staff_id>/enable")
@needs(Role.ADMIN)
def enable(staff_id: int) -> ResponseReturnValue:
    """Lets the account be used again."""
    person = _find(staff_id)
    accounts.enable(database(), person, by=actor(), now=datetime.now(UTC))
    done(f"{person.name} can log in again, as {person.role}.")
    return _back(person)


@pages.route("/password", methods=["GET", "POST"])
@needs(Role.VIEWER)
def own_password() -> ResponseReturnValue:
    """A new password for oneself; one's other sessions end."""
    form = OwnPasswordForm()
    if form.validate_on_submit():
        session, now = database(), datetime.now(UTC)
        email = current_user.account.email
        known = logins.check(
            session, email=email, password=form.current.data, address=request.remote_addr or "", now=now
        )
        if isinstance(known, Staff):
            with form.refusals(_PASSWORD_ERRORS):
                logins.change_password(session, known, form.password.data, by=actor(), now=now)
            if not form.errors:
                begin_session(known)
                done("Your password is changed. Wherever else you were logged in, you are logged out.")
                return redirect(url_for("start.home"))
        else:
            login_failed(known)
            form.refuse(WrongPassword() if isinstance(known, WrongLogin) else known, "current")
    return render_template("staff/password.html", form=form), _status()


def _find(staff_id: int) -> Staff:
    return database().get(Staff, staff_id) or abort(404)


def _back(person: Staff) -> ResponseReturnValue:
    """To the list; people who have changed their own account may not see it any more."""
    return redirect(url_for("start.home" if person.id == current_user.account.id else ".overview"))


def _account(person: Staff, **forms: Form) -> ResponseReturnValue:
    tokens = select(func.count()).where(ApiToken.staff_id == person.id, ApiToken.revoked_at.is_(None))
    given = {"role_form": RoleForm(formdata=None, role=person.role), "password_form": PasswordForm(formdata=None)}
    return _page("account", person=person, tokens=database().scalar(tokens), **{**given, **forms})


def _page(template: str, **window: object) -> ResponseReturnValue:
    people = database().scalars(select(Staff).order_by(Staff.disabled_at.is_not(None), func.lower(Staff.name)))
    return render_template(f"staff/{template}.html", people=people.all(), **window), _status()


def _status() -> int:
    return 422 if request.method == "POST" else 200
