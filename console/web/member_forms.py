"""The forms of a member's page: redeem, give back, extend, adjust."""

from wtforms import BooleanField, HiddenField, RadioField, SelectChoice, SelectField, TextAreaField
from wtforms.validators import InputRequired, Optional

from console.web.fields import Count, Day, text_field
from console.web.forms import Form, OnceForm
from models.ledger.adjustments import AdjustmentReason
from models.staff.actions import MAX_REASON_LENGTH

_FIRST = {"autofocus": True}
_NOTE = {"maxlength": MAX_REASON_LENGTH, "rows": 2}


class RedeemForm(OnceForm):
    """Sessions of an item that a member uses."""

    item_id = HiddenField()
    quantity = Count("Sessions", default=1)
    override_reason = text_field("Why they can be used although dues are overdue", most=MAX_REASON_LENGTH)


class GiveBackForm(OnceForm):
    """Sessions of a redemption to give back."""

    quantity = Count("Sessions to give back", render_kw=_FIRST)


class ExtendForm(Form):
    """A later last day of a grant."""

    last_day = Day(
        "Last usable day", [InputRequired("Choose the last day on which the sessions can be used.")], render_kw=_FIRST
    )
    reason = TextAreaField("Why", [InputRequired("Say why.")], render_kw=_NOTE)


class AdjustForm(OnceForm):
    """Sessions given or taken by hand."""

    item_id = SelectField("Item", coerce=int, render_kw=_FIRST)
    sign = RadioField(
        "What", choices=[SelectChoice("plus", "Give sessions"), SelectChoice("minus", "Take sessions")], default="plus"
    )
    quantity = Count("Sessions")
    last_day = Day(
        "Last usable day", [Optional()], description="Of sessions that you give. Leave it empty if they never expire."
    )
    reason = SelectField(
        "Reason",
        choices=[SelectChoice(reason.value, reason.replace("_", " ").capitalize()) for reason in AdjustmentReason],
    )
    note = TextAreaField("Note", [InputRequired("Say why.")], render_kw=_NOTE)
    accepts = BooleanField("With that the payment is accepted, and leaves the review", default=True)

    @property
    def signed_quantity(self) -> int:
        """Plus to give, minus to take."""
        quantity: int = self.quantity.data
        return quantity if self.sign.data == "plus" else -quantity
