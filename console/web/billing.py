"""Adding a billing reference to a membership, which credits at once the payments that waited for it."""

from wtforms import BooleanField, SelectField, StringField
from wtforms.validators import Length, ValidationError

from console.request import actor, database, is_test_endpoint, late_credit, utc_now
from console.web.formats import endpoints
from console.web.forms import Form
from models.members import memberships, reference_moves
from models.members.memberships import Membership
from models.payments import settlement
from runtime.language import noted, say_n

REFERENCE_LENGTH = 255


def endpoint_field() -> SelectField:
    """The endpoint that a reference belongs to."""
    where = noted("Where the processor's webhooks come in.")
    return SelectField("Endpoint", choices=endpoints, validate_choice=False, description=where)


def reference_field(*more: object) -> StringField:
    """The processor's id, with further validators."""
    return StringField(
        "Billing reference",
        [*more, Length(max=REFERENCE_LENGTH), _has_endpoint],
        description="The processor's id of the subscription, mandate or customer, such as sub_1NX.",
        render_kw={"autocomplete": "off", "spellcheck": "false"},
    )


def _has_endpoint(form: Form, field: StringField) -> None:
    if form.text(field.short_name) and form["endpoint"].data not in endpoints():
        raise ValidationError("Choose the endpoint that the reference is of.")


def share_field() -> BooleanField:
    """Whether the reference is to be shared with the memberships that have it."""
    return BooleanField(
        "Share it with the membership that has it",
        description="As in a family: later payments with it are divided equally between them.",
    )


def add(membership: Membership, endpoint: str, reference: str, *, shared: bool = False) -> str:
    """Let the endpoint's payments with that reference find the membership, and settle those that waited.

    Returns a sentence about those, or nothing. Raises ReferenceTaken, unless it is to be shared.
    """
    session = database()
    waiting = reference_moves.waiting(session, endpoint, reference)
    memberships.add_billing_reference(
        session, membership, endpoint, reference, by=actor(), shared=shared, is_test=is_test_endpoint(endpoint)
    )
    if not waiting:
        return ""
    settle_waiting()
    return say_n(
        "{n} payment that had waited for it is settled now.",
        "{n} payments that had waited for it are settled now.",
        waiting,
    )


def settle_waiting() -> None:
    """Settle all payments that wait for a billing reference that is there now."""
    while settlement.settle_matched(database(), now=utc_now(), late_credit=late_credit()):
        pass
