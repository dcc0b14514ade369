"""The promise: freezes, closures, ends, cut-overs and payments, in any order of recording, come to the same days.

What they come to is counted day by day beside it (plain_count.py): from the day after the payment on, each day that is
neither frozen nor closed and on which the money was there, and never after the end. What was paid before the cut-over
of a membership gives it nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from models.audit.checks import audit
from models.catalogue.days import local_day
from models.catalogue.tables import Offer, PaymentTerm
from models.ledger import entries
from models.ledger.adjustments import extend
from models.members import life
from models.members.cut_over import set_cut_over
from models.members.life import Done, LifeAct, Scope
from models.members.memberships import add_billing_reference
from models.members.signing_up import sign_up
from models.payments import living, settlement
from models.payments.facts import Fact
from tests.models.gym import BY, Event, Gym, deliver, expire_all, fresh
from tests.models.payments.plain_count import Payment, Plan, World, count
from tests.models.payments.sweeps import sweep_to_the_end
from tests.models.payments.told import CHICAGO, DUES, facts, march, moment, refunds

MODEST = settings(max_examples=25)
ZONE = str(CHICAGO)
BEFORE = datetime(2024, 2, 1, 15, tzinfo=UTC)
SOON, LATE = datetime(2024, 4, 20, tzinfo=UTC), datetime(2024, 8, 1, tzinfo=UTC)
SCOPES = {"classes": Scope.CLASS, "trainings": Scope.PERSONAL_TRAINING, "all": Scope.ALL}


class Act(NamedTuple):
    """What a person does: `thing` is a freeze, a closure, an end or a cut-over; it is made, then changed or undone."""

    thing: int
    kind: str
    whose: str
    """A member, or the item of a closure."""
    first: date
    last: date | None
    verb: str = "make"


Key = tuple[str, str, str, date | None]
"""Payment, member, item, first usable day."""
Step = tuple[str, object]


@dataclass(frozen=True)
class Story:
    """What happened; `acts` in an order that is possible. `extended`: after how many acts, which grant, until when."""

    world: World
    acts: list[Act]
    events: list[list[Fact]]
    now: datetime
    late: timedelta
    extended: tuple[int, Key, date] | None

    def world_after(self, acts: int) -> World:
        """The world when only so many acts were done."""
        latest = {act.thing: act for act in self.acts[:acts] if act.kind != "bill"}
        counted = [act for act in latest.values() if act.verb != "undo"]
        return replace(
            self.world,
            frozen=[(act.whose, act.first, act.last) for act in counted if act.kind == "freeze"],
            closed=[(act.whose, act.first, act.last) for act in counted if act.kind == "closure" and act.last],
            ended={act.whose: act.last for act in counted if act.kind == "end" and act.last},
            cut_over={act.whose: act.last for act in counted if act.kind == "cut-over" and act.last},
        )


@st.composite
def acts_of(draw: st.DrawFn, members: tuple[str, ...], bases: list[date]) -> list[list[Act]]:
    """What is done about each thing, in its order; mostly where it matters, soon after days begin to count."""
    anchor = st.sampled_from(bases)
    things: list[list[Act]] = [[Act(-number, "bill", who, bases[0], None)] for number, who in enumerate(members, 1)]
    for number in range(draw(st.sampled_from([1, 1, 2, 2, 3, 4, 6]))):
        kind = draw(
            st.sampled_from(["freeze", "freeze", "freeze", "closure", "closure", "end", "end", "cut-over", "cut-over"])
        )
        whose = draw(st.sampled_from([*SCOPES] if kind == "closure" else members))
        once = kind in ("end", "cut-over")
        if once and any((act.kind, act.whose) == (kind, whose) for thing in things for act in thing):
            continue
        first = draw(anchor) + timedelta(days=draw(st.integers(-5, 40)))
        last = st.integers(0, 20).map(lambda days, first=first: first + timedelta(days=days))
        if kind == "end":
            last = st.builds(lambda day, days: day + timedelta(days=days), anchor, st.integers(-4, 20))
        if kind == "cut-over":
            last = st.builds(lambda day, days: day + timedelta(days=days), anchor, st.integers(-1, 4))
        if kind == "freeze":
            last = st.one_of(last, last, last, last, st.none())
        thing = [Act(number, kind, whose, first, draw(last))]
        for verb in draw(st.sampled_from([(), (), ("change",), ("undo",), ("change", "undo"), ("change", "change")])):
            day = draw(last.filter(lambda day, thing=thing: day != thing[-1].last)) if verb == "change" else first
            thing.append(thing[-1]._replace(verb=verb, last=thing[-1].last if verb == "undo" else day))
        if kind == "end" and thing[-1].verb == "undo" and draw(st.booleans()):
            thing.append(Act(number + 100, kind, whose, first, draw(last)))
        things.append(thing)
    return things


@st.composite
def interleaved(draw: st.DrawFn, things: list[list[Act]]) -> list[Act]:
    """In any order, but that of each thing."""
    order = draw(st.permutations([number for number, thing in enumerate(things) for _ in thing]))
    left = [iter(thing) for thing in things]
    return [next(left[number]) for number in order]


@st.composite
def payments_of(draw: st.DrawFn, kind: str, members: tuple[str, ...]) -> list[Payment]:
    amounts = st.sampled_from([DUES, DUES, DUES // 2, DUES * 3 // 2, 1500, 3 * DUES])
    billed = {who: 12 * DUES if kind == "yearly" else draw(amounts) for who in members}
    shape: dict[str, object] = {"by_line": kind == "family"}
    if kind in ("period", "yearly", "days"):
        shape["begins"] = march(draw(st.integers(1, 5)))
        shape |= {"days": draw(st.integers(1, 31))} if kind == "days" else {"months": 1}
        shape |= {"months": draw(st.integers(1, 3))} if kind == "period" else {}
    total = sum(billed.values())
    paid = draw(st.sampled_from([total, total, total * 4 // 5]))
    day = march(draw(st.integers(1, 5)))
    found = [Payment("dues", day, billed, paid, refunds=draw(refunds(members if kind == "family" else ())), **shape)]
    if kind != "yearly" and draw(st.booleans()):
        amount = draw(st.sampled_from([1500, 4900, DUES]))
        day += timedelta(days=draw(st.sampled_from([0, 1, 2])))
        found.append(Payment("fee", day, {"a": amount}, amount, refunds=draw(refunds(()))))
    if kind != "yearly" and draw(st.booleans()):
        amount, day = draw(amounts), date(2024, 4, draw(st.integers(1, 5)))
        begins = draw(st.sampled_from([None, day, march(20)]))
        found.append(Payment("next", day, {"a": amount}, amount, months=1 if begins else 0, begins=begins))
    return found


@st.composite
def stories(draw: st.DrawFn) -> Story:
    kind = draw(st.sampled_from(["plain", "period", "days", "yearly", "family"]))
    gives = {"classes": (draw(st.sampled_from([8, 3])), draw(st.sampled_from([30, 30, 12, 75]))), "trainings": (2, 0)}
    if draw(st.booleans()):
        gives["trainings"] = (2, 12)
    partial = draw(st.sampled_from(["proportional", "proportional", "full", "none"]))
    members = ("a", "b") if kind == "family" else ("a",)
    now, late = draw(st.sampled_from([SOON, LATE])), draw(st.sampled_from([0, 0, 5]))
    today = local_day(now, ZONE)
    world = World(
        Plan(12 * DUES if kind == "yearly" else DUES, gives, partial, yearly=kind == "yearly"),
        draw(payments_of(kind, members)),
        members,
        frozen_dues=draw(st.sampled_from(["nothing", "nothing", "nothing", "part", "full"])),
        on_end=draw(st.sampled_from([("keep", 0), ("last_day", 0), ("days", 7), ("days", 30)])),
        late=(today, late) if late else None,
    )
    events = []
    for payment in world.payments:
        told = facts(draw, payment, world.plan)
        told += draw(st.lists(st.sampled_from(told), max_size=2))
        while told:
            size = draw(st.integers(1, 3))
            events.append(told[:size])
            told = told[size:]
    bases = [march(1), march(1), *(payment.day for payment in world.payments), *([today] * 3 if late else [])]
    acts = draw(interleaved(draw(acts_of(members, bases))))
    story = Story(world, acts, events, now, timedelta(days=late), None)
    return draw(extended(story)) if draw(st.booleans()) else story


@st.composite
def extended(draw: st.DrawFn, story: Story) -> Story:
    """Staff extend a grant when so many of the acts are done, and every payment is told."""
    bills = [act for act in story.acts if act.kind == "bill"]
    others = [act for act in story.acts if act.kind != "bill"]
    story = replace(story, acts=[*bills, *others])
    after = draw(st.integers(len(bills), len(story.acts)))
    lasting = {
        (name, *key): one.last_days[key]
        for name, one in count(story.world_after(after)).items()
        for key, left in one.left.items()
        if left and one.last_days[key]
    }
    if not lasting:
        return story
    key = draw(st.sampled_from([*lasting]))
    last = max(lasting[key] or date.min, local_day(story.now, ZONE))
    return replace(story, extended=(after, key, last + timedelta(days=draw(st.integers(1, 10)))))


@st.composite
def plays(draw: st.DrawFn, story: Story) -> list[Step]:
    """Any order of what is told and done, with repetitions, and after some of it what the worker does."""
    again = draw(st.lists(st.integers(0, len(story.events) - 1), max_size=3))
    told: list[Step] = [("events", [number]) for number in range(len(story.events))]
    split = story.extended[0] if story.extended else len(story.acts)
    steps: list[Step] = draw(mixed(story.acts[:split], told))
    if story.extended:
        repeated: list[Step] = [("events", [number]) for number in again]
        steps += [("extend", None), *draw(mixed(story.acts[split:], repeated))]
    else:
        steps += [("events", [number]) for number in again]
    worked: list[Step] = []
    for step in steps:
        worked.append(step)
        worked += [(verb, None) for verb in draw(st.sampled_from([(), (), ("sweep",), ("expire",)]))]
    return worked


@st.composite
def mixed(draw: st.DrawFn, acts: list[Act], told: list[Step]) -> list[Step]:
    things: dict[object, list[Act]] = {}
    for act in acts:
        # A membership ends again only when its end was undone; of its cut-overs the last one counts.
        things.setdefault((act.kind, act.whose) if act.kind in ("end", "bill", "cut-over") else act.thing, []).append(
            act
        )
    order = iter(draw(interleaved([*things.values()])))
    places = draw(st.permutations([*[None] * len(acts), *told]))
    return [place or (draw(st.sampled_from(["act", "act at once"])), next(order)) for place in places]


class Scene:
    """One play on the stage of a database: a club, an endpoint, a plan and members of its own."""

    def __init__(self, gym: Gym, story: Story) -> None:
        self.session, self.story, self.endpoint = gym.session, story, fresh("endpoint")
        world, plan = story.world, story.world.plan
        self.club = gym.club.__class__(name=fresh("Club"), time_zone=ZONE, currency="USD")
        offer = Offer(name=fresh("Offer"))
        offer.set_bucket_limits(1, 2)
        shape = {"interval": "year", "release": "monthly"} if plan.yearly else {}
        rule, days = world.on_end
        term = PaymentTerm(
            name="Term", dues_minor=plan.dues, currency="USD", partial=plan.partial, frozen_dues=world.frozen_dues,
            on_end=rule, on_end_days=days or None, **shape,
        )  # fmt: skip
        offer.terms.append(term)
        self.session.add_all([self.club, offer])
        self.session.flush()
        self.items = {"classes": gym.spin, "trainings": gym.training}
        for name, (quantity, lasting) in plan.gives.items():
            term.set_bucket(offer.add_bucket(self.items[name]), quantity=quantity, days_to_expire=lasting)
        offer.publish()
        self.session.flush()
        picks = [*self.items.values()]
        self.members = {
            who: sign_up(
                self.session, email=fresh("m") + "@example.com", name="Ada", club=self.club, term=term, picks=picks,
                by=BY, now=BEFORE,
            )
            for who in world.members
        }  # fmt: skip
        self.versions: dict[int, LifeAct] = {}
        self.session.commit()

    def run(self, steps: list[Step]) -> None:
        now, late = self.story.now, self.story.late
        told = [Event(fresh("evt"), facts, self.endpoint) for facts in self.story.events]
        for verb, what in steps:
            match verb:
                case "events":
                    assert isinstance(what, list)
                    deliver(self.session, [told[number] for number in what], now=now, late_credit=late)
                case "sweep":
                    settlement.settle_matched(self.session, now=now, late_credit=late)
                    settlement.settle_closures(self.session, now=now, late_credit=late, limit=1)
                case "expire":
                    entries.expire(self.session, as_of=now)
                case "extend":
                    sweep_to_the_end(self.session, now, late)
                    self.extend()
                case _:
                    assert isinstance(what, Act)
                    self.act(what, at_once=verb == "act at once")
            self.session.commit()
        sweep_to_the_end(self.session, now, late)
        expire_all(self.session, now)

    def act(self, act: Act, *, at_once: bool) -> None:
        if act.kind == "bill":
            for reference in ("sub", f"si_{act.whose}", f"own_{act.whose}")[act.whose != "a" :]:
                add_billing_reference(self.session, self.members[act.whose], self.endpoint, reference, by=BY)
            return
        if act.kind == "cut-over":
            day = None if act.verb == "undo" or act.last is None else moment(act.last, 0)
            how = {"reason": "moved in", "by": BY, "now": self.story.now}
            cut = partial(set_cut_over, self.session, self.members[act.whose], day, **how)
            if at_once:
                living.apply(self.session, cut, now=self.story.now, late_credit=self.story.late)
            else:
                cut()
            return
        once = self.doing(act)
        if at_once:
            living.apply(self.session, once, now=self.story.now, late_credit=self.story.late)
        else:
            once()

    def doing(self, act: Act) -> Callable[[], Done]:
        session, now, known = self.session, self.story.now, self.versions.get(act.thing)

        def do() -> Done:
            if act.verb == "change" and known:
                return life.change(session, known, last=act.last, reason="else", by=BY, now=now)
            if act.verb == "undo" and known:
                return life.undo(session, known, reason="a mistake", by=BY, now=now)
            if act.kind == "closure" and act.last:
                scope = SCOPES[act.whose]
                return life.close(
                    session, self.club, scope=scope, first=act.first, last=act.last, reason="r", by=BY, now=now
                )
            member = self.members[act.whose]
            if act.kind == "end" and act.last:
                return life.end(session, member, last=act.last, reason="r", by=BY, now=now)
            return life.freeze(session, member, first=act.first, last=act.last, reason="r", by=BY, now=now)

        def once() -> Done:
            done = do()
            self.versions[act.thing] = done.act
            return done

        return once

    def extend(self) -> None:
        assert self.story.extended
        _, (payment, who, item, first), until = self.story.extended
        names = {
            "endpoint": self.endpoint, "payment": f"{payment}%", "held": self.members[who].id,
            "item": self.items[item].id, "tranche": tranche(first),
        }  # fmt: skip
        grant = self.session.scalars(_GRANT, names).one()
        extend(self.session, grant, last_day=until, reason="asked", by=BY, now=self.story.now)

    def shown(self) -> tuple[dict[object, object], dict[str, tuple[str, set[str]]]]:
        """By payment, member, item and tranche what is left, usable and until when; by payment its state and why."""
        rows = self.session.execute(_GRANTS, {"endpoint": self.endpoint})
        who = {membership.id: name for name, membership in self.members.items()}
        name_of = {item.id: name for name, item in self.items.items()}
        grants: dict[object, object] = {
            (payment.split()[0], who[owner], name_of[item], tranche): (left, remaining, expires)
            for payment, owner, item, tranche, left, remaining, expires in rows
        }
        rows = self.session.execute(_STATES, {"endpoint": self.endpoint})
        return grants, {payment.split()[0]: (state, set(reasons)) for payment, state, reasons in rows}


def tranche(first: date | None) -> int:
    return int(f"{first:%Y%m%d}") if first else 0


_GRANTS = text("""
    SELECT p.reference, g.membership_id, g.item_id, g.tranche, g.quantity - g.reversed, g.remaining, g.expires_at
    FROM credit_grants g JOIN payments p ON p.id = g.payment_id
    WHERE p.endpoint = :endpoint AND g.quantity > g.reversed
""")
_GRANT = text("""
    SELECT g.id FROM credit_grants g JOIN payments p ON p.id = g.payment_id
    WHERE p.endpoint = :endpoint AND p.reference LIKE :payment AND g.quantity > g.reversed
      AND (g.membership_id, g.item_id, g.tranche) = (:held, :item, :tranche)
""")
_STATES = text("""
    SELECT p.reference, p.state, array(SELECT reason FROM payment_reviews r WHERE r.payment_id = p.id)
    FROM payments p WHERE p.endpoint = :endpoint AND p.same_as IS NULL
""")


def expected(story: Story) -> tuple[dict[object, object], dict[str, tuple[str, set[str]]]]:
    counts, today = count(story.world_after(len(story.acts))), local_day(story.now, ZONE)
    before = count(story.world_after(story.extended[0])) if story.extended else {}
    grants: dict[object, object] = {}
    for payment, one in counts.items():
        for key, left in one.left.items():
            who, item, first = key
            last = one.last_days[key]
            if story.extended and story.extended[1] == (payment, *key) and last:
                until, known = story.extended[2], before[payment].last_days[key]
                assert known
                last = max(last + (until - known), until)
            usable = left if last is None or last >= today else 0
            expires = None if last is None else moment(last + timedelta(days=1), 0)
            if left:
                grants[payment, who, item, tranche(first)] = (left, usable, expires)
    return grants, {payment: (one.state, one.reasons) for payment, one in counts.items()}


def in_order(story: Story) -> list[Step]:
    split = story.extended[0] if story.extended else len(story.acts)
    acts: list[Step] = [("act at once", act) for act in story.acts]
    told: list[Step] = [("events", [number]) for number in range(len(story.events))]
    extension: list[Step] = [("extend", None)] if story.extended else []
    return [*acts[:split], *told, *extension, *acts[split:]]


def test_any_order_of_events_and_acts_ends_in_the_days_that_are_counted(open_gym: Gym) -> None:
    gym, session = open_gym, open_gym.session

    @MODEST
    @given(st.data())
    def check(data: st.DataObject) -> None:
        story = data.draw(stories())
        wanted = expected(story)
        for steps in (in_order(story), data.draw(plays(story))):
            scene = Scene(gym, story)
            scene.run(steps)
            assert scene.shown() == wanted
        assert list(audit(session)) == []
        session.commit()

    check()
