"""What all forms share: a refusal of the rules stands beside the field that it is about."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from flask_wtf import FlaskForm
from werkzeug.datastructures import MultiDict
from wtforms import HiddenField

from models.errors import SppError


class Form(FlaskForm):  # type: ignore[misc]
    """A form with its CSRF token. PostgreSQL takes no NUL characters as text, so they are dropped."""

    class Meta(FlaskForm.Meta):  # type: ignore[misc]
        """What applies to every field."""

        def wrap_formdata(self, form: "Form", formdata: Any) -> Any:
            """The submitted fields."""
            given = super().wrap_formdata(form, formdata)
            if given is None or not any("\0" in value for _, value in given.items(multi=True)):
                return given
            return MultiDict((name, value.replace("\0", "")) for name, value in given.items(multi=True))

    @contextmanager
    def refusals(self, beside: Mapping[type[SppError], str] = {}) -> Iterator[None]:
        """What the rules refuse inside the block is undone and stands beside the field named for that error.

        An error with no field stands above the form. Afterwards `form.errors` tells whether it was done.
        """
        from console.web.access import database

        try:
            with database().begin_nested():
                yield
        except SppError as error:
            self.refuse(error, beside.get(type(error)))

    def refuse(self, error: SppError, field: str | None = None) -> None:
        """Shows an error beside the field, or above the form."""
        if field is None:
            self.form_errors.append(str(error))
        else:
            self[field].errors = [*self[field].errors, str(error)]

    def text(self, name: str) -> str:
        """What was typed into a field, without blanks around it."""
        value: Any = self[name].data
        return (value or "").strip()


class EditForm(Form):
    """A form over values that somebody else may change while it is open.

    A field that comes back as it was handed out was not edited: it gets the value that the
    database has now, so that saving one field never takes back another person's change of another.
    """

    was = HiddenField()
    """The values with which the fields were handed out, as JSON."""

    def process(self, formdata: Any = None, *args: Any, **kwargs: Any) -> None:
        """Fills in the fields, then takes what was not edited from the database."""
        super().process(formdata, *args, **kwargs)
        fields = [field for field in self if field.type not in ("HiddenField", "CSRFTokenField")]
        was = _values(self.was.data)
        for field in fields:
            if field.raw_data and field.raw_data[0] == was.get(field.name):
                field.data, field.raw_data = field.object_data, [str(field.object_data)]
        self.was.data = json.dumps({field.name: str(field.object_data) for field in fields})


def _values(text: str | None) -> dict[str, Any]:
    try:
        values = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}
