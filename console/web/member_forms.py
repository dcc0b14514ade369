"""The forms of a member's page: redeem, give back, extend, adjust."""

from collections.abc import Sequence
from typing import Self

from wtforms import BooleanField, Field, HiddenField, RadioField, SelectChoice, SelectField, TextAreaField
from wtforms.validators import InputRequired, Optional, ValidationError

from console.web.fields import Count, Day, Moment, chosen_id, text_field
from console.web.forms import Form, OnceForm
from models.catalogue.clubs import Club
from models.ledger.adjustments import AdjustmentReason
from models.ledger.occasions import LENGTHS, Occasion
from models.staff.actions import MAX_REASON_LENGTH
from runtime.language import say, say_n

_FIRST = {"autofocus": True}
_NOTE = {"maxlength": MAX_REASON_LENGTH, "rows": 2}


class RedeemForm(OnceForm):
    """Sessions of an item that a member uses."""

    item_id = HiddenField()
    quantity = Count("Sessions", default=1)
    override_reason = text_field("Why they can be used although dues are overdue", most=MAX_REASON_LENGTH)
    occurred_at = Moment("When", render_kw={"type": "datetime-local"})
    class_name = text_field("Class", most=LENGTHS["class_name"])
    class_reference = text_field("Class in the scheduler", most=LENGTHS["class_reference"])
    trainer = text_field("Trainer", most=LENGTHS["trainer"])
    club_id = SelectField("Club", default="")
    note = text_field("Note", most=LENGTHS["note"])

    def ask(self, *, item_id: int, zone: str, back: int, clubs: Sequence[Club]) -> Self:
        """Make it the form of one item among others on a page, by people who may date back that many days."""
        self.occurred_at.zone = zone
        self.occurred_at.description = say_n(
            "Within the last day. Leave it empty if it is now.",
            "Within the last {n} days. Leave it empty if it is now.",
            back,
        )
        self.club_id.choices = [
            SelectChoice("", say("Not said")),
            *(SelectChoice(str(one.id), one.name) for one in clubs),
        ]
        for field in self:
            field.id = field.label.field_id = f"{field.short_name}-{item_id}"
        return self

    @property
    def about(self) -> list[Field]:
        """The fields about the occasion."""
        asked = [field for field in self if field.short_name in Occasion._fields]
        return asked if len(self.club_id.choices) > 2 else [field for field in asked if field is not self.club_id]

    @property
    def occasion(self) -> Occasion:
        """What was written into them."""
        texts = {name: self.text(name) or None for name in LENGTHS}
        return Occasion(self.occurred_at.at, chosen_id(self.club_id.data) or None, **texts)


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
        "Last usable day",
        [Optional()],
        description="Of sessions that you give. Filled in where sessions of the item usually expire.",
    )
    never = BooleanField("They never expire")
    reason = SelectField(
        "Reason",
        choices=[SelectChoice(reason.value, reason.replace("_", " ").capitalize()) for reason in AdjustmentReason],
    )
    note = TextAreaField("Note", [InputRequired("Say why.")], render_kw=_NOTE)
    accepts = BooleanField("With that the payment is accepted, and leaves the review", default=True)

    def validate_never(self, field: BooleanField) -> None:
        """Ask how long given sessions last: a day, or expressly for ever."""
        if self.sign.data != "plus" or self.last_day.errors:
            return
        if self.last_day.data and field.data:
            raise ValidationError(say("Choose one of the two: a last usable day, or that they never expire."))
        if not self.last_day.data and not field.data:
            raise ValidationError(say("Choose the last usable day, or say here that they never expire."))

    @property
    def signed_quantity(self) -> int:
        """Plus to give, minus to take."""
        quantity: int = self.quantity.data
        return quantity if self.sign.data == "plus" else -quantity
