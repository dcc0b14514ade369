"""What a processor says of the payments of a plain count, for the property tests."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from models.catalogue.days import Period
from models.payments.facts import Fact, Line, LineRefunded, Linked, Paid, Restored, Reversed
from tests.models.payments.plain_count import Payment, Plan, Refund, months_after

CHICAGO = ZoneInfo("America/Chicago")
DUES = 9000


def march(day: int) -> date:
    return date(2024, 3, day)


def moment(day: date, hour: int = 12) -> datetime:
    return datetime.combine(day, time(hour), CHICAGO).astimezone(UTC)


@st.composite
def refunds(draw: st.DrawFn, lines: tuple[str, ...]) -> tuple[Refund, ...]:
    found = []
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 2]))):
        day = march(draw(st.integers(6, 30)))
        undone = draw(st.none() | st.integers(1, 30).map(lambda days, day=day: day + timedelta(days=days)))
        line = draw(st.sampled_from(["", *lines]))
        found.append(Refund(day, draw(st.sampled_from([900, 3000, DUES // 2, DUES - 400, DUES])), undone, line))
    return tuple(found)


def facts(draw: st.DrawFn, payment: Payment, plan: Plan) -> list[Fact]:
    """What a processor says of the payment."""
    at, name = moment(payment.day), payment.name
    covers = period(payment, plan)
    named = {"fee": ("own_a",)}.get(name, ("family",) if payment.by_line else ("sub",))
    lines = tuple(
        Line(("family", f"si_{who}"), amount, covers, id=who)
        for who, amount in payment.billed.items()
        if payment.by_line
    )
    if payment.is_upgrade:
        back, more = Line(("sub",), -3000, covers, proration=True), Line(("sub",), 4500, covers, proration=True)
        lines = (back, more)
    due = payment.total if payment.paid < payment.total else None
    first = Paid(name, at, payment.paid, "USD", named, covers=covers, due_minor=due, lines=lines)
    told: list[Fact] = [first, Linked(name, at, f"{name} intent")]
    if not lines and due is None and draw(st.booleans()):
        card = draw(st.sampled_from([1000, payment.paid // 2, payment.paid - 1]))
        told[0] = Paid(name, at, card, "USD", named, covers=covers, part="card")
        told.append(Paid(name, at, payment.paid - card, "USD", named, covers=covers, part="gift card"))
    elif draw(st.booleans()):
        later = at + timedelta(days=draw(st.integers(1, 3)))
        told.append(Paid(name, later, payment.paid, "USD", named, covers=covers, due_minor=due, lines=lines))
    for number, refund in enumerate(payment.refunds):
        cause, known_by = f"refund of {name}:re_{number}", draw(st.sampled_from([name, f"{name} intent"]))
        told.append(Reversed(known_by, moment(refund.day, 10), cause, refund.amount, "USD"))
        if refund.line:
            told.append(LineRefunded(name, moment(refund.day), f"re_{number}", refund.line, refund.amount, "USD"))
        if refund.undone_on:
            told.append(Restored(known_by, moment(refund.undone_on, 14), cause, refund.amount, "USD"))
    return told


def period(payment: Payment, plan: Plan) -> Period | None:
    if payment.begins is None:
        return None
    end = months_after(payment.begins, payment.months * (12 if plan.yearly else 1))
    if payment.is_upgrade:
        end = date(2024, 4, 1)
    elif payment.days:
        end = payment.begins + timedelta(days=payment.days)
    return None if end == payment.begins else (moment(payment.begins, 0), moment(end, 0))
