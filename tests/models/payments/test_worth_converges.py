"""The promise: in whatever order, grouping and number events, plan changes, joins and marks come, all ends the same.

What it ends in is compared with a plain count of what really happened (plain_count.py).
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from models.audit.checks import audit
from models.catalogue.days import last_day
from models.catalogue.tables import Offer, PaymentTerm
from models.members.memberships import Membership, add_billing_reference
from models.members.plan_change import change_plan
from models.members.signing_up import sign_up
from models.payments import not_dues, settlement
from models.payments.facts import Fact
from tests.models.gym import BY, Event, Gym, deliver, expire_all, fresh
from tests.models.payments.plain_count import Payment, Plan, World, count
from tests.models.payments.sweeps import sweep_to_the_end
from tests.models.payments.told import DUES, facts, march, moment, refunds

MODEST = settings(max_examples=15)
BEFORE = datetime(2024, 2, 1, 15, tzinfo=UTC)
SOON, LATE = datetime(2024, 4, 20, tzinfo=UTC), datetime(2024, 8, 1, tzinfo=UTC)

Acts = list[tuple[str, object]]


@dataclass(frozen=True)
class Play:
    """How it all comes: acts and groups of events, and after which of these the worker sweeps."""

    steps: list[tuple[str, object]]
    sweeps: list[bool]
    now: datetime


@dataclass(frozen=True)
class Story:
    """What happened, the acts about it in their order, and the events that tell of it."""

    world: World
    acts: Acts
    events: list[list[Fact]]
    bound: set[int]
    """The events that cannot come before the plan changes: they tell of what was paid after them."""


amounts = st.sampled_from([DUES, DUES, DUES, DUES // 2, DUES * 3 // 2, 2700, 3 * DUES])


@st.composite
def stories(draw: st.DrawFn) -> Story:
    kind = draw(st.sampled_from(["plain", "period", "days", "yearly", "family", "shared", "changes"]))
    partial = draw(st.sampled_from(["proportional", "proportional", "full", "none"]))
    gives = {"classes": (draw(st.sampled_from([8, 3])), 30), "trainings": (2, 0)}
    plan = Plan(12 * DUES if kind == "yearly" else DUES, gives, partial, yearly=kind == "yearly")
    world = World(plan, [])
    acts: Acts = [("join", "a")]
    billed, lines = {"a": draw(amounts)}, ()
    shape: dict[str, object] = {}
    if kind == "family":
        billed |= {"b": draw(amounts)} | draw(st.sampled_from([{}, {"locker": 1000}]))
        shape, lines = {"by_line": True}, tuple(billed)
        if draw(st.booleans()):
            acts.insert(draw(st.integers(0, 1)), ("join", "b"))
            world.members = ("a", "b")
        marks = draw(st.integers(0, 3))
        acts += [("unmark" if number % 2 else "mark", "locker") for number in range(marks)]
        world.locker_is_marked = marks % 2 == 1
    elif kind == "shared":
        billed["b"] = billed["a"]
        # Who shares a reference shares the payments that come afterwards.
        world.members, acts = ("a", "b"), []
    elif kind == "yearly":
        billed = {"a": draw(st.sampled_from([12 * DUES, 6 * DUES, 5000]))}
        shape = draw(st.sampled_from([{}, {"months": 1}]))
    elif kind == "changes":
        for number, day in enumerate(
            draw(st.lists(st.integers(8, 15), min_size=1, max_size=3, unique=True).map(sorted))
        ):
            world.changes.append((march(day), (12, gives["classes"][0], 12)[number]))
    elif kind != "plain":
        shape = {"months": draw(st.integers(1, 3))} if kind == "period" else {"days": draw(st.integers(1, 31))}
    if {"months", "days"} & shape.keys():
        shape["begins"] = march(draw(st.integers(1, 5)))
    acts += [("change", number) for number in range(len(world.changes))]
    total = sum(billed.values())
    paid = draw(st.sampled_from([total, total, total * 4 // 5]))
    dues = Payment("dues", march(draw(st.integers(1, 5))), billed, paid, refunds=draw(refunds(lines)), **shape)
    world.payments.append(dues)
    if kind != "yearly" and draw(st.booleans()):
        day = dues.day + timedelta(days=draw(st.sampled_from([0, 0, 1, 2])))
        amount = draw(st.sampled_from([3000, 4900, DUES]))
        world.payments.append(Payment("fee", day, {"a": amount}, amount, refunds=draw(refunds(()))))
    if world.changes and draw(st.booleans()):
        day = march(draw(st.integers(16, 30)))
        world.payments.append(Payment("upgrade", day, {"a": 1500}, 1500, is_upgrade=True, begins=day))
    events, bound = [], set()
    for payment in world.payments:
        told = facts(draw, payment, plan)
        told += draw(st.lists(st.sampled_from(told), max_size=2))
        while told:
            size = draw(st.integers(1, 3))
            if payment.is_upgrade:
                bound.add(len(events))
            events.append(told[:size])
            told = told[size:]
    return Story(world, acts, events, bound)


@st.composite
def plays(draw: st.DrawFn, story: Story) -> Play:
    """Any order; of the acts alone the order stays, and an upgrade is paid after the plan was changed."""
    again = draw(st.lists(st.integers(0, len(story.events) - 1), max_size=3))
    numbers = [*range(len(story.events)), *again]
    order = draw(st.permutations([*numbers, *([None] * len(story.acts))]))
    if story.bound and draw(st.booleans()):
        order = [None] * len(story.acts) + [number for number in order if number is not None]
    acts, held, steps, left = iter(story.acts), list[int](), list[tuple[str, object]](), len(story.acts)
    for number in order:
        if number is None:
            left -= 1
            steps.append(next(acts))
            if not left and held:
                steps.append(("events", held))
        elif left and number in story.bound:
            held.append(number)
        elif steps and steps[-1][0] == "events" and draw(st.booleans()):
            steps[-1] = ("events", [*steps[-1][1], number])
        else:
            steps.append(("events", [number]))
    return Play(steps, [draw(st.booleans()) for _ in steps], draw(st.sampled_from([SOON, LATE])))


class Scene:
    """One play on the stage of a database: an endpoint, a plan and members of its own."""

    def __init__(self, gym: Gym, story: Story) -> None:
        self.gym, self.session, self.story = gym, gym.session, story
        self.endpoint, self.members = fresh("endpoint"), dict[str, Membership]()
        plan = story.world.plan
        self.offer = Offer(name=fresh("Offer"))
        self.offer.set_bucket_limits(1, 2)
        shape = {"interval": "year", "release": "monthly"} if plan.yearly else {}
        self.term = PaymentTerm(name="Term", dues_minor=plan.dues, currency="USD", partial=plan.partial, **shape)
        self.offer.terms.append(self.term)
        self.session.add(self.offer)
        self.session.flush()
        self.items = {"classes": gym.spin, "trainings": gym.training}
        self.buckets = {name: self.offer.add_bucket(item) for name, item in self.items.items()}
        for name, (quantity, days) in plan.gives.items():
            self.term.set_bucket(self.buckets[name], quantity=quantity, days_to_expire=days)
        self.offer.publish()
        for who in () if story.acts else story.world.members:
            self.act("join", who)
        self.session.commit()

    def act(self, verb: str, what: object) -> None:
        session, world = self.session, self.story.world
        match verb:
            case "join":
                email, picks = fresh("member") + "@example.com", list(self.items.values())
                self.members[str(what)] = membership = sign_up(
                    session, email=email, name="Ada", club=self.gym.club, term=self.term, picks=picks, by=BY, now=BEFORE
                )
                by_line = world.payments[0].by_line
                for reference in (f"si_{what}" if by_line else "sub", f"own_{what}"):
                    add_billing_reference(session, membership, self.endpoint, reference, by=BY, shared=True)
            case "change":
                since, classes = world.changes[int(str(what))]
                self.term.set_bucket(self.buckets["classes"], quantity=classes, days_to_expire=30)
                change_plan(
                    session,
                    self.members["a"],
                    term=self.term,
                    since=since,
                    picks=list(self.items.values()),
                    reason="new",
                    by=BY,
                    now=BEFORE,
                )
            case "mark":
                not_dues.mark(session, self.endpoint, "si_locker", reason="a locker", by=BY)
            case _:
                not_dues.unmark(session, self.endpoint, "si_locker", reason="a mistake", by=BY)

    def run(self, play: Play) -> None:
        told = [Event(fresh("evt"), facts, self.endpoint) for facts in self.story.events]
        for (verb, what), sweeps in zip(play.steps, play.sweeps, strict=True):
            if verb == "events":
                assert isinstance(what, list)
                deliver(self.session, [told[number] for number in what], now=play.now)
            else:
                self.act(verb, what)
            if sweeps:
                settlement.settle_matched(self.session, now=play.now, late_credit=timedelta(0))
            self.session.commit()
        sweep_to_the_end(self.session, play.now)
        expire_all(self.session, play.now)

    def shown(self) -> tuple[dict[object, object], dict[str, set[str]], set[object]]:
        """By payment, member, item and tranche what is left, usable and until when; reasons; their sentences."""
        rows = self.session.execute(_GRANTS, {"endpoint": self.endpoint})
        who = {membership.id: name for name, membership in self.members.items()}
        name_of = {item.id: name for name, item in self.items.items()}
        grants = {
            (payment.split()[0], who[owner], name_of[item], tranche): (left, remaining, expires)
            for payment, owner, item, tranche, left, remaining, expires in rows
        }
        reasons: dict[str, set[str]] = {payment.name: set() for payment in self.story.world.payments}
        sentences = set[object]()
        for payment, reason, what in self.session.execute(_REASONS, {"endpoint": self.endpoint}):
            reasons[payment.split()[0]].add(reason)
            sentences.add((payment.split()[0], reason, what))
        return dict(grants), reasons, sentences


_GRANTS = text("""
    SELECT p.reference, g.membership_id, g.item_id, g.tranche, g.quantity - g.reversed, g.remaining, g.expires_at
    FROM credit_grants g JOIN payments p ON p.id = g.payment_id
    WHERE p.endpoint = :endpoint AND g.quantity > g.reversed
""")
_REASONS = text("""
    SELECT p.reference, r.reason, r.what FROM payment_reviews r JOIN payments p ON p.id = r.payment_id
    WHERE p.endpoint = :endpoint
""")


def expected(world: World, now: datetime) -> tuple[dict[object, object], dict[str, set[str]]]:
    grants: dict[object, object] = {}
    counts = count(world)
    for payment, one in counts.items():
        for key, left in one.left.items():
            who, item, first = key
            last = one.last_days[key]
            expired = last is not None and last < last_day(now, "America/Chicago")
            expires = None if last is None else moment(last + timedelta(days=1), 0)
            tranche = int(f"{first:%Y%m%d}") if first else 0
            if left:
                grants[payment, who, item, tranche] = (left, 0 if expired else left, expires)
    return grants, {payment: one.reasons for payment, one in counts.items()}


def in_order(story: Story, now: datetime) -> Play:
    steps: list[tuple[str, object]] = [*story.acts, *(("events", [number]) for number in range(len(story.events)))]
    return Play(steps, [False] * len(steps), now)


def test_any_order_of_events_and_acts_ends_in_the_plain_count(open_gym: Gym) -> None:
    gym, session = open_gym, open_gym.session

    @MODEST
    @given(st.data())
    def check(data: st.DataObject) -> None:
        story = data.draw(stories())
        play = data.draw(plays(story))
        results = []
        for one in (in_order(story, play.now), play):
            scene = Scene(gym, story)
            scene.run(one)
            results.append(scene.shown())
        wanted = expected(story.world, play.now)
        assert results[0][:2] == wanted
        assert results[1] == results[0]
        assert list(audit(session)) == []
        session.commit()

    check()
