"""Review: the payments that staff must look at. They are accepted as they are, one by one or all of a kind."""

from flask import abort, request
from wtforms import HiddenField

from console.request import actor, database
from console.web import linking, not_dues, review_list
from console.web.access import Answer, Pages, Role, club_ids
from console.web.fields import chosen_id
from console.web.formats import link
from console.web.forms import ReasonForm
from console.web.review_list import MAY_ACCEPT
from models.payments import reviewing
from models.payments.references import Payment
from runtime.language import say, say_n

pages = Pages("review", __name__, url_prefix="/review")
for _part in (linking, not_dues):
    pages.register_blueprint(_part.pages)


@pages.page("/", Role.VIEWER)
def overview() -> Answer:
    """The payments in review that match the filter, the longest waiting first."""
    return review_list.show()


@pages.form("/<id:payment_id>/accept", *MAY_ACCEPT)
def accept(payment_id: int) -> Answer:
    """Take a payment off the list as it is, with a reason."""
    payment, form = database().get(Payment, payment_id) or abort(404), ReasonForm()

    def act() -> tuple[str, str]:
        reviewing.accept(database(), payment_id, reason=form.text("reason"), by=actor())
        return say("{payment} is accepted as it is.", payment=payment.reference), review_list.back()

    one = reviewing.of_payment(database(), payment_id)
    return form.submitted(act) or review_list.show("accept", form=form, payment=payment, one=one)


class AcceptAllForm(ReasonForm):
    """The reason, and the number that the person was shown."""

    count = HiddenField()


@pages.form("/accept-all", *MAY_ACCEPT)
def accept_all() -> Answer:
    """Accept one reason for all payments that have it, once their number is confirmed."""
    kind, endpoint = review_list.asked_reason() or abort(404), request.args.get("endpoint") or None
    form = AcceptAllForm()

    def act() -> tuple[str, str]:
        expected = chosen_id(form.count.data)
        number = reviewing.accept_all(
            database(), kind, expected=expected, reason=form.text("reason"), by=actor(), endpoint=endpoint,
            club_ids=club_ids(),
        )  # fmt: skip
        text = say_n("{n} payment accepted.", "{n} payments accepted.", number)
        return text, link("review.overview", endpoint=endpoint)

    if answer := form.submitted(act):
        return answer
    form.count.data = str(reviewing.counts(database(), endpoint, club_ids=club_ids()).by_reason.get(kind, 0))
    return review_list.show("accept_all", bool(form.errors), form=form, number=int(form.count.data))
