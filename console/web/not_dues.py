"""What is not dues: marking what a payment was for, the list of the marks, and taking one back."""

from collections.abc import Callable, Set
from typing import ClassVar

from flask import abort, url_for
from sqlalchemy import select
from wtforms import RadioField, SelectChoice
from wtforms.validators import InputRequired

from console.request import actor, database, late_credit, utc_now
from console.web import review_list
from console.web.access import Answer, Pages, Role
from console.web.forms import page
from console.web.previews import ActForm, Planned, Preview, answered
from console.web.review_list import MAY_MARK
from models.payments import not_dues
from models.payments.facts import Paid
from models.staff.actions import Action
from models.statements import payment_story
from models.wording import money
from runtime.language import say

pages = Pages("not_dues", __name__)


SHOWN = 6
"""Grants that the message after an act names."""


class MarkForm(ActForm):
    """What of a payment is no dues, and why."""

    own_names: ClassVar = {"reference": "what"}

    what = RadioField("What is not dues?", [InputRequired("Choose what is not dues.")])


@pages.form("/<id:payment_id>/not-dues", MAY_MARK)
def mark(payment_id: int) -> Answer:
    """Mark what a payment was for as no dues: an item, a price, a product, or all of its subscription."""
    story, form = payment_story.story(database(), payment_id) or abort(404), MarkForm.asked()
    root = story.root
    form.what.choices = _named(story.paid, set(root.billing_references or ())) if story.paid else []

    def act(reason: str) -> list[int]:
        return not_dues.mark(database(), root.endpoint, form.what.data, reason=reason, by=actor())

    planned = _planned(act, lambda: say("{reference} is no dues.", reference=form.what.data))
    answer, preview = answered(form, planned, review_list.back(), shown=SHOWN)
    return answer or review_list.show("not_dues", form=form, story=story, preview=preview)


def _planned(act: Callable[[str], list[int]], head: Callable[[], str]) -> Planned:
    """The act or its preview."""

    def planned(reason: str, *, preview: bool) -> Preview:
        done = not_dues.effect(
            database(), lambda: act(reason), preview=preview, now=utc_now(), late_credit=late_credit()
        )
        return Preview(f"{head()} {done.words}", [one.words for one in done.moved])

    return planned


def _named(paid: Paid, waits_for: Set[str]) -> list[SelectChoice]:
    """What can be marked: what the lines name, first those of nobody, then all that the subscription bills."""
    whole = paid.billing_references
    of_lines = {
        reference: money(line.amount_minor, paid.currency)
        for line in paid.lines
        for reference in line.references
        if reference not in whole
    }
    return [
        *(
            SelectChoice(
                reference, say("{reference}: {amount} of this payment", reference=reference, amount=of_lines[reference])
            )
            for reference in sorted(of_lines, key=lambda one: one not in waits_for)
        ),
        *(
            SelectChoice(reference, say("{reference}: everything that is billed by it", reference=reference))
            for reference in whole
        ),
    ]


@pages.page("/not-dues", Role.VIEWER)
def overview() -> Answer:
    """Everything that is marked as no dues."""
    return _page("marks")


@pages.form("/not-dues/<id:mark_id>/undo", MAY_MARK)
def unmark(mark_id: int) -> Answer:
    """Take a mark back: payments with the reference are dues again."""
    marked, form = not_dues.find(database(), mark_id), ActForm.asked()
    endpoint, reference = marked.endpoint, marked.reference

    def act(reason: str) -> list[int]:
        return not_dues.unmark(database(), endpoint, reference, reason=reason, by=actor())

    planned = _planned(act, lambda: say("{reference} counts as dues again.", reference=reference))
    answer, preview = answered(form, planned, url_for(".overview"), shown=SHOWN)
    return answer or _page("unmark", form=form, reference=reference, preview=preview)


def _page(template: str, **window: object) -> Answer:
    marks = not_dues.every(database())
    acts = select(Action).where(Action.id.in_([one.action_id for one in marks]))
    return page(
        f"review/{template}.html",
        marks=marks,
        acts={act.id: act for act in database().scalars(acts)},
        may_mark=MAY_MARK,
        **window,
    )
