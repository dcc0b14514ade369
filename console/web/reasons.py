"""The form that asks why, before something is done that the action log has to explain."""

from wtforms import TextAreaField
from wtforms.validators import InputRequired, Length

from console.web.forms import Form
from models.errors import ReasonMissing, SppError, TextTooLong
from models.staff.actions import MAX_REASON_LENGTH

BESIDE: dict[type[SppError], str] = {ReasonMissing: "reason", TextTooLong: "reason"}
"""Which field each refusal is about."""


def why(*, autofocus: bool) -> TextAreaField:
    """The field for the reason."""
    return TextAreaField(
        "Why", [InputRequired("Say why."), Length(max=MAX_REASON_LENGTH)],
        description="Kept in the action log.", render_kw={"rows": 2, "autofocus": autofocus},
    )  # fmt: skip


class ReasonForm(Form):
    """Why something is done."""

    reason = why(autofocus=True)
