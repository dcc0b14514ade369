"""The forms of a member's page: redeeming, giving back, extending, adjusting."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

from flask import abort
from wtforms import DateField, HiddenField, IntegerField, RadioField, SelectChoice, SelectField, TextAreaField
from wtforms.validators import InputRequired, NumberRange, Optional

from console.web.forms import Form
from models.catalogue.tables import MAX_QUANTITY
from models.errors import KeyReused, SentBefore
from models.ledger.adjustments import AdjustmentReason
from models.staff.actions import MAX_REASON_LENGTH

_COUNT = {"min": 1, "max": MAX_QUANTITY, "inputmode": "numeric"}
_FIRST = {"autofocus": True}
_NOTE = {"maxlength": MAX_REASON_LENGTH, "rows": 2}


class Count(IntegerField):  # type: ignore[misc]
    """A number of sessions, one or more."""

    data: Any

    def __init__(self, label: str, **more: Any) -> None:
        sensible = NumberRange(1, MAX_QUANTITY, f"Write a whole number from 1 to {MAX_QUANTITY}.")
        super().__init__(label, [sensible], render_kw=_COUNT | more.pop("render_kw", {}), **more)

    def process_formdata(self, valuelist: list[str]) -> None:
        """Reads digits; whatever else was sent is no number."""
        text = valuelist[0].strip() if valuelist else ""
        self.data = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


class Day(DateField):  # type: ignore[misc]
    """A local date."""

    def process_formdata(self, valuelist: list[str]) -> None:
        """Reads a date as browsers send it."""
        try:
            super().process_formdata(valuelist)
        except ValueError as error:
            raise ValueError("Write a date, such as 2026-11-30.") from error


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

    @contextmanager
    def sent_once(self) -> Iterator[None]:
        """Inside, a key used before with other content raises SentBefore, and the form gets a new one."""
        try:
            yield
        except KeyReused as error:
            self.key.data = str(uuid4())
            raise SentBefore from error


class RedeemForm(OnceForm):
    """A member spends sessions of an item."""

    item_id = HiddenField()
    quantity = Count("Sessions", default=1)


class GiveBackForm(OnceForm):
    """Sessions of a redemption go back."""

    quantity = Count("Sessions to give back", render_kw=_FIRST)


class ExtendForm(Form):
    """A grant expires later."""

    last_day = Day(
        "Last usable day", [InputRequired("Choose the last day on which the sessions can be used.")], render_kw=_FIRST
    )
    reason = TextAreaField("Why", [InputRequired("Say why.")], render_kw=_NOTE)


class AdjustForm(OnceForm):
    """Sessions are given or taken by hand."""

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

    @property
    def signed_quantity(self) -> int:
        """Plus to give, minus to take."""
        quantity: int = self.quantity.data
        return quantity if self.sign.data == "plus" else -quantity
