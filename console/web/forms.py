"""What all forms share: a refusal of the rules stands beside the field that it is about."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from flask_wtf import FlaskForm
from werkzeug.datastructures import MultiDict

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
