"""The cut-over: an earlier system gave what was paid before it, so here it gives nothing, whenever it is told of."""

from collections.abc import Callable
from datetime import timedelta
from itertools import permutations

import pytest
from sqlalchemy import text

from models.audit.checks import audit
from models.errors import NotChanged, YearWrong
from models.ledger.redemptions import redeem
from models.members.cut_over import set_cut_over
from models.members.memberships import Membership, add_billing_reference
from models.members.signing_up import sign_up
from models.payments import living
from models.payments.facts import Line, Paid, Reversed
from models.payments.living import Outcome
from tests.models.gym import BY, DUES, NOW, PAID_AT, Gym, fresh, grant_of, grants_of, paid, refused, tell
from tests.models.payments.sweeps import sweep_to_the_end

CUT_OVER = PAID_AT + timedelta(days=5)
LATER = CUT_OVER + timedelta(days=10)
NO_DELAY = timedelta(0)
BACK = "$30.00 of a payment before the cut-over went back: opening sessions are not touched"
_STATES = text("""
    SELECT p.reference, p.state, array(SELECT what FROM payment_reviews r WHERE r.payment_id = p.id)
    FROM payments p WHERE p.endpoint = 'stripe' AND p.reference IN ('old', 'new')
""")


def states(gym: Gym) -> dict[str, tuple[str, list[str]]]:
    return {reference: (state, whats) for reference, state, whats in gym.session.execute(_STATES)}


def cut(
    gym: Gym, held: Membership, moment: object, how: Callable[..., Outcome[Membership]] = living.apply
) -> list[str]:
    def act() -> tuple[Membership, list[int]]:
        return set_cut_over(gym.session, held, moment, reason="moved in", by=BY, now=LATER)

    moved = how(gym.session, act, now=LATER, late_credit=NO_DELAY).moved
    gym.session.expire_all()
    return [one.words for one in moved]


def move_in(gym: Gym) -> Membership:
    """What an import does: a membership with a cut-over and its billing reference."""
    held = sign_up(
        gym.session, email=fresh("m") + "@example.com", name="Ann", club=gym.club, term=gym.term,
        picks=[gym.spin, gym.training], by=BY, now=NOW, credits_from=CUT_OVER,
    )  # fmt: skip
    add_billing_reference(gym.session, held, "stripe", "sub", by=BY)
    return held


@pytest.mark.parametrize("order", [*permutations(["import", "old", "refund", "new"])], ids="-".join)
def test_in_any_order_with_the_import_only_what_was_paid_since_gives_sessions(gym: Gym, order: tuple[str, ...]) -> None:
    told = {
        "old": paid("old", "sub"),
        "refund": Reversed("old", CUT_OVER + timedelta(days=3), "refund:re_1", 3000, "USD"),
        "new": paid("new", "sub", at=CUT_OVER),
    }
    held = None
    for step in order:
        if step == "import":
            held = move_in(gym)
        else:
            tell(gym.session, told[step], now=LATER)
    sweep_to_the_end(gym.session, LATER)
    assert held is not None
    assert states(gym) == {"old": ("before_cut_over", [BACK]), "new": ("settled", [])}
    assert sorted((one.quantity, one.remaining, one.shortfall) for one in grants_of(gym.session, held)) == [
        (2, 2, 0), (8, 8, 0)
    ]  # fmt: skip
    assert list(audit(gym.session)) == []


def test_staff_set_it_and_take_it_back_with_all_that_it_moves(gym: Gym) -> None:
    held = gym.join("sub")
    tell(gym.session, paid("old", "sub"), paid("new", "sub", at=CUT_OVER))
    redeem(
        gym.session, member_id=held.member_id, item_id=gym.spin.id, quantity=3, key=fresh("key"), by=BY,
        now=CUT_OVER + timedelta(hours=1),
    )  # fmt: skip
    before = states(gym)
    moves = cut(gym, held, CUT_OVER, living.preview)
    gives = "the payment of Mar 1, 2024 gives 0 instead of"
    assert moves == [
        f"5 Spin sessions: 0 instead of 5 left, {gives} 8, 3 used ones are owed: the next sessions repay them",
        f"2 Training sessions: 0 instead of 2 left, {gives} 2",
    ]
    assert states(gym) == before
    assert held.credits_from is None
    assert cut(gym, held, CUT_OVER) == moves
    assert states(gym) == {"old": ("before_cut_over", []), "new": ("settled", [])}
    spin = grants_of(gym.session, held, gym.spin)
    assert {(one.remaining, one.shortfall) for one in spin} == {(0, 3), (8, 0)}, "what was used is owed"
    with refused(gym.session, NotChanged, "how it is already"):
        cut(gym, held, CUT_OVER)
    with refused(gym.session, YearWrong, "Check the year"):
        cut(gym, held, CUT_OVER.replace(year=2036))
    # Not at once, but by the sweep, as where a membership has very many payments.
    set_cut_over(gym.session, held, None, reason="a mistake", by=BY, now=LATER)
    sweep_to_the_end(gym.session, LATER)
    gym.session.expire_all()
    assert states(gym) == {"old": ("settled", []), "new": ("settled", [])}
    spin = grants_of(gym.session, held, gym.spin)
    assert {(one.remaining, one.shortfall) for one in spin} == {(5, 0), (8, 0)}
    assert list(audit(gym.session)) == []


def test_of_a_payment_for_several_only_the_share_of_the_one_that_moved_in(gym: Gym) -> None:
    moved, other = gym.join("si_moved"), gym.join("si_other")
    cut(gym, moved, CUT_OVER)
    lines = (Line(("si_moved",), DUES, id="il_1"), Line(("si_other",), DUES, id="il_2"))
    family = Paid("old", PAID_AT, 2 * DUES, "USD", ("family",), lines=lines)
    tell(gym.session, family, Reversed("old", CUT_OVER, "refund:re_1", 6000, "USD"))
    assert grants_of(gym.session, moved) == []
    spin = grant_of(gym.session, other, gym.spin)
    assert (spin.quantity, spin.reversed) == (8, 2)
    assert states(gym)["old"] == ("settled", [BACK])
    # Once the other has moved in, too, nothing is left of it.
    cut(gym, other, CUT_OVER)
    assert states(gym)["old"] == ("before_cut_over", [BACK.replace("30", "60")])


def test_a_line_of_nobody_still_waits_for_its_membership(gym: Gym) -> None:
    moved = gym.join("si_moved")
    cut(gym, moved, CUT_OVER)
    lines = (Line(("si_moved",), DUES, id="il_1"), Line(("si_late",), DUES, id="il_2"))
    tell(gym.session, Paid("old", PAID_AT, 2 * DUES, "USD", ("family",), lines=lines))
    late = gym.join("si_late")
    sweep_to_the_end(gym.session, NOW)
    assert grant_of(gym.session, late, gym.spin).remaining == 8
    assert grants_of(gym.session, moved) == []


def test_money_in_another_currency_and_of_contradicting_facts_is_the_earlier_systems(gym: Gym) -> None:
    held = gym.join("sub")
    tell(gym.session, paid("old", "sub", currency="EUR"), paid("new", "sub"), paid("new", "sub", amount=100))
    assert states(gym)["old"][0] == "held"
    cut(gym, held, CUT_OVER)
    assert states(gym) == {"old": ("before_cut_over", []), "new": ("before_cut_over", [])}
