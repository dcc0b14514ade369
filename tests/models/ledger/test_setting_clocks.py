"""A test member watches a month go by, by a clock of its own, while a live member beside it is untouched."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from models.audit.checks import audit
from models.catalogue.days import local_day
from models.errors import (
    ClockNotLater,
    LiveEndpoint,
    MergedForTest,
    NotATestMember,
    PaidLive,
    TooFarAhead,
    WrongState,
)
from models.ledger import expiry, merging
from models.ledger.expiry import Breaker
from models.ledger.redemptions import redeem
from models.ledger.setting_clocks import set_forward
from models.ledger.tables import CreditGrant
from models.members import clocks, reference_moves
from models.members.clocks import make_test_member
from models.members.memberships import Member, Membership, add_billing_reference
from models.payments.facts import Reversed
from models.statements import expiring, statement
from models.statements.left import left
from models.statements.why_not import Reason, why_not
from runtime.settings import Endpoint
from tests.models.gym import BY, Event, Gym, deliver, fresh, paid, refused, tell

SANDBOX = "sandbox"
DAY = timedelta(days=1)
ENDPOINTS = [
    Endpoint(name=SANDBOX, processor="stripe", mode="test", secrets=("whsec_test",)),
    Endpoint(name="stripe", processor="stripe", mode="live", secrets=("whsec_live",)),
]


def now() -> datetime:
    return datetime.now(UTC)


def usable(gym: Gym, held: Membership) -> dict[str, int]:
    return {one.item: one.usable for one in statement.balances(gym.session, held.member_id, now())}


def use(gym: Gym, held: Membership, quantity: int = 1) -> None:
    redeem(
        gym.session, member_id=held.member_id, item_id=gym.spin.id, quantity=quantity, key=fresh("key"), by=BY,
        now=now(),
    )  # fmt: skip


def say(gym: Gym, *facts: object, now: datetime) -> None:
    deliver(gym.session, [Event(fresh("evt"), [fact], SANDBOX) for fact in facts], now=now)  # type: ignore[list-item]


def for_tests(gym: Gym) -> Membership:
    held = gym.join()
    make_test_member(gym.session, held.member, ENDPOINTS, by=BY)
    add_billing_reference(gym.session, held, SANDBOX, "sub", by=BY, is_test=True)
    return held


def ahead(gym: Gym, held: Membership, days: int) -> int:
    day = local_day(held.member.clock(now()), gym.club.time_zone) + days * DAY
    return set_forward(gym.session, held.member, day, by=BY, now=now())


def rows(session: Session, held: Membership) -> list[object]:
    found = session.execute(
        text("""SELECT g.remaining, g.expires_at, g.effective_at, count(*) FROM credit_grants g
            JOIN ledger_entries e ON e.grant_id = g.id WHERE g.member_id = :member GROUP BY g.id ORDER BY g.id"""),
        {"member": held.member_id},
    )
    return [tuple(row) for row in found]


def test_a_month_goes_by_for_it_alone(gym: Gym) -> None:
    tested, live = for_tests(gym), gym.join("sub_live")
    began = now()
    say(gym, paid("first", "sub", at=began), now=began)
    tell(gym.session, paid("in_live", "sub_live", at=began), now=began)
    use(gym, tested, 3)
    untouched = rows(gym.session, live)
    assert usable(gym, tested) == {"Spin": 5, "Training": 2}

    # The month passes: what is left expires, by its clock and at once.
    assert ahead(gym, tested, 31) == 1
    assert usable(gym, tested) == {"Spin": 0, "Training": 2}
    why = why_not(gym.session, member_id=tested.member_id, item_id=gym.spin.id, now=now())
    assert why is not None
    assert why.reason == Reason.EXPIRED
    assert clocks.words(tested.member, now()).startswith("Test member: its clock is 31 days ahead (")

    # The second payment is dated by its clock: it can be used now, and lasts a month of that clock.
    second = tested.member.clock(now())
    say(gym, paid("second", "sub", at=second), now=now())
    assert usable(gym, tested) == {"Spin": 8, "Training": 4}
    said = left(gym.session, tested.member, gym.training, now())
    assert said == f"{tested.member.name} has 4 Training left, which never expire."
    use(gym, tested)
    [newest] = gym.session.scalars(
        select(CreditGrant).where(CreditGrant.member_id == tested.member_id, CreditGrant.remaining == 7)
    )
    assert newest.effective_at == second
    assert newest.expires_at is not None
    assert timedelta(days=29) < newest.expires_at - second < timedelta(days=32)

    # The first payment is refunded after its sessions expired: they do not come back, what was used is owed.
    say(gym, Reversed("first", tested.member.clock(now()), "refund:re_1", 4500, "USD"), now=now())
    assert usable(gym, tested) == {"Spin": 7, "Training": 3}
    entered = statement.entries(gym.session, tested.member_id)
    assert [one.quantity for one in entered if one.kind == "expiry"] == [-5], "none comes back"
    say(gym, Reversed("first", tested.member.clock(now()), "refund:re_2", 4500, "USD"), now=now())
    short = {one.item: one.shortfall for one in statement.balances(gym.session, tested.member_id, now())}
    assert short == {"Spin": 3, "Training": 0}
    assert usable(gym, tested) == {"Spin": 7, "Training": 2}

    assert rows(gym.session, live) == untouched
    assert usable(gym, live) == {"Spin": 8, "Training": 2}
    assert [(one.item, one.members) for one in expiring.summary(gym.session, now(), days=40)] == [("Spin", 1)]
    assert list(audit(gym.session)) == []


def test_its_expiry_counts_in_no_run_and_trips_no_breaker(gym: Gym) -> None:
    tested = for_tests(gym)
    began = now() - 20 * DAY
    say(gym, paid("old", "sub", at=began), now=began)
    ahead(gym, tested, 5)
    # What expires by its clock later is written down by the next run of the clock's job.
    gym.session.execute(text("UPDATE members SET clock_ahead = '31 days' WHERE is_test"))
    gym.session.expire_all()
    done = expiry.step(gym.session, as_of=now(), breaker=Breaker(0, 0))
    assert not done.more
    assert expiry.open_run(gym.session) is None
    left = select(CreditGrant.remaining).where(CreditGrant.item_id == gym.spin.id)
    assert set(gym.session.scalars(left)) == {0}
    assert list(audit(gym.session)) == []


def test_only_test_endpoints_pay_for_it_and_only_who_no_live_one_has_paid_for_becomes_one(gym: Gym) -> None:
    tested, live = for_tests(gym), gym.join("sub_live")
    session = gym.session
    with refused(session, LiveEndpoint, "only test endpoints pay for it"):
        add_billing_reference(session, tested, "stripe", "sub_other", by=BY)
    with refused(session, LiveEndpoint, "stripe is a live endpoint"):
        reference_moves.give_up(session, live, "stripe", "sub_live", into=tested, reason="r", by=BY)
    with refused(session, PaidLive, "stripe, which is no test endpoint"):
        make_test_member(session, live.member, ENDPOINTS, by=BY)
    with refused(session, WrongState, "a test member already"):
        make_test_member(session, tested.member, ENDPOINTS, by=BY)
    with refused(session, NotATestMember, "no test member"):
        ahead(gym, live, 3)
    with refused(session, ClockNotLater, "choose a later day"):
        ahead(gym, tested, 0)
    with refused(session, TooFarAhead, "1830 days ahead at most"):
        ahead(gym, tested, 1831)
    for gone, stays in ((tested, live), (live, tested)):
        with refused(session, MergedForTest, "cannot be merged"):
            merging.plan(session, gone.member_id, stays.member_id, now=now())
    assert session.get_one(Member, tested.member_id).clock_ahead == timedelta(0)
