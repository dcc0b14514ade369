"""What all forms share: how a sent form is checked, done and answered, and what stands beside a refused field."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar
from uuid import UUID, uuid4

from flask import abort, flash, redirect, render_template, request
from flask_wtf import FlaskForm
from werkzeug.datastructures import MultiDict
from wtforms import HiddenField, SelectChoice, SelectFieldBase, TextAreaField
from wtforms.validators import InputRequired, Length

from console.request import database
from console.web.access import Answer
from models.errors import KeyReused, SentBefore, SppError
from models.staff.actions import MAX_REASON_LENGTH
from runtime.language import say

Act = Callable[[], tuple[str, str]]
"""Does what a form asks for, and returns the message of the next page and its address. Raises SppError."""


class Form(FlaskForm):  # type: ignore[misc]
    """A form with its CSRF token. NUL characters are dropped from texts, because PostgreSQL takes none there."""

    own_names: ClassVar[Mapping[str, str]] = {}
    """Where a field of this form has another name than the field that an error names: error's name -> own name."""

    class Meta(FlaskForm.Meta):  # type: ignore[misc]
        """Settings of every form."""

        def wrap_formdata(self, form: "Form", formdata: Any) -> Any:
            """Return the submitted fields."""
            given = super().wrap_formdata(form, formdata)
            sent = [] if given is None else list(given.items(multi=True))
            if not any(isinstance(value, str) and "\0" in value for _, value in sent):
                return given
            return MultiDict(
                (name, value.replace("\0", "") if isinstance(value, str) else value) for name, value in sent
            )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Make the form, its labels, descriptions and choices in the language of the page."""
        super().__init__(*args, **kwargs)
        for field in self:
            described = field.description
            field.label.text, field.description = (
                say(field.label.text),
                described() if callable(described) else say(described),
            )
            if field.render_kw:
                field.render_kw = {
                    name: say(value) if name in _SHOWN else value for name, value in field.render_kw.items()
                }
            if isinstance(field, SelectFieldBase) and isinstance(getattr(field, "choices", None), (list, tuple, dict)):
                field.choices = _labeled(field.choices)

    def validate(self, *args: Any, **kwargs: Any) -> bool:
        """Check the form; what it says of a field is in the language of the page."""
        valid: bool = super().validate(*args, **kwargs)
        for field in self:
            if field.errors:
                field.errors = [say(error) for error in field.errors]
        return valid

    def submitted(self, act: Act) -> Answer | None:
        """Check the form, do `act`, and redirect with its message; None where the page has to show the form.

        A refusal undoes `act`, and stands beside its field.
        """
        return self._done(act, self.refuse) if self.validate_on_submit() else None

    def done(self, act: Act) -> Answer | None:
        """Do `act` as `submitted` does, without checking the form; a refusal stands above it."""
        return self._done(act, lambda error: self.form_errors.append(str(error)))

    def _done(self, act: Act, refuse: Callable[[SppError], None]) -> Answer | None:
        try:
            with database().begin_nested():
                message, address = act()
        except SppError as error:
            refuse(error)
            return None
        if message:
            flash(message, "success")
        return redirect(address)

    def refuse(self, error: SppError) -> None:
        """Show an error beside its field, or above the form where the form has no such field on show."""
        name = self.own_names.get(error.field or "", error.field or "")
        if name in self and self[name].type != "HiddenField":
            self[name].errors = [*self[name].errors, str(error)]
        else:
            self.form_errors.append(str(error))

    def text(self, name: str) -> str:
        """The text of a field, without surrounding blanks."""
        value: Any = self[name].data
        return (value or "").strip()


_SHOWN = frozenset({"placeholder", "title", "aria-label"})
"""The attributes of a field that people read."""


def _labeled(choices: Any) -> Any:
    """The choices with their labels in the language of the page."""
    if isinstance(choices, dict):
        return {value: say(label) if isinstance(label, str) else label for value, label in choices.items()}
    return [replace(one, label=say(one.label)) if isinstance(one, SelectChoice) else one for one in choices]


def pressed(act: Callable[[], str], to: str) -> Answer:
    """Answer a button that stands alone: do `act` and redirect with its message, or with the reason why not."""
    try:
        with database().begin_nested():
            flash(act(), "success")
    except SppError as error:
        flash(str(error), "danger")
    return redirect(to)


def page(template: str, refused: bool = False, /, **context: object) -> Answer:
    """A page; 422 where it answers a form or a question that was refused."""
    return render_template(template, **context), 422 if refused or request.method == "POST" else 200


class QueryForm(Form):
    """A form that is sent with GET. It needs no CSRF token, because it changes nothing."""

    class Meta(Form.Meta):
        """Without the token."""

        csrf = False


class EditForm(Form):
    """A form over values that somebody else may change while it is open.

    A field that comes back unchanged was not edited: it gets the value that the database has
    now. Saving one field never takes back another person's change of another one.
    """

    was = HiddenField()
    """The values with which the fields were handed out, as JSON."""

    def process(self, formdata: Any = None, *args: Any, **kwargs: Any) -> None:
        """Fill in the fields, then take what was not edited from the database."""
        super().process(formdata, *args, **kwargs)
        fields = [field for field in self if field.type not in ("HiddenField", "CSRFTokenField")]
        was = _values(self.was.data)
        for field in fields:
            # A box that is not ticked is not sent.
            sent = str(field.data) if field.type == "BooleanField" else field.raw_data and field.raw_data[0]
            if sent and sent == was.get(field.name):
                field.data, field.raw_data = field.object_data, [str(field.object_data)]
        self.was.data = json.dumps({field.name: str(field.object_data) for field in fields})


def _values(text: str | None) -> dict[str, Any]:
    try:
        values = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


class OnceForm(Form):
    """A form that counts once, however often it is sent."""

    key = HiddenField(default=lambda: str(uuid4()))

    @property
    def once(self) -> str:
        """Its idempotency key. A form without one is answered 400."""
        try:
            return f"console {UUID(self.key.data or '')}"
        except ValueError:
            abort(400, "The form was not complete. Go back, reload the page, and send it again.")

    def refuse(self, error: SppError) -> None:
        """Show an error; where the key was used with other content, the form gets a new one."""
        if isinstance(error, KeyReused):
            self.key.data = str(uuid4())
            error = SentBefore()
        super().refuse(error)


def why(*, autofocus: bool) -> TextAreaField:
    """The field for a reason that goes into the action log."""
    return TextAreaField(
        "Why",
        [InputRequired("Say why."), Length(max=MAX_REASON_LENGTH)],
        description="Kept in the action log.",
        render_kw={"rows": 2, "autofocus": autofocus},
    )


class ReasonForm(Form):
    """The reason for an act that the action log has to explain."""

    reason = why(autofocus=True)
