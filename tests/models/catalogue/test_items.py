"""Items: named once, changed only while nothing uses them, and deleted only if nothing ever did."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from models.catalogue import items
from models.catalogue.items import Item, ItemKind, SessionType
from models.database.engine import sessions
from models.database.naming import named_once
from models.errors import ItemInUse, NameMissing, NameTaken, SessionTypeMissing, TextTooLong
from models.ledger import adjustments
from models.ledger.adjustments import AdjustmentReason
from models.members.plan_change import change_plan
from tests.models.gym import BY, NOW, Gym, fresh, paid, session_item, tell, together, wait_until_blocked

BUCKET, OTHER = ItemKind.SCHEDULER_BUCKET, ItemKind.OTHER
CLASS, TRAINING = SessionType.CLASS, SessionType.PERSONAL_TRAINING


def made(session: Session, name: str, kind: ItemKind = BUCKET, session_type: SessionType | None = CLASS) -> Item:
    return items.create_item(session, name=name, kind=kind, session_type=session_type)


def kept(session: Session, item: Item) -> tuple[str, str, str | None]:
    session.expire_all()
    return item.name, item.kind, item.session_type


def test_only_a_scheduler_bucket_has_a_session_type(session: Session) -> None:
    assert kept(session, made(session, "  Boxing ")) == ("Boxing", "scheduler_bucket", "class")
    assert kept(session, made(session, "Locker", OTHER)) == ("Locker", "other", None)
    with pytest.raises(SessionTypeMissing, match="class or personal training"):
        made(session, "Yoga", BUCKET, None)


def test_an_item_is_changed_while_nothing_uses_it(session: Session) -> None:
    item = made(session, "Boxing")
    items.edit_item(session, item, name="Boxing 1:1", kind=BUCKET, session_type=TRAINING)
    assert kept(session, item) == ("Boxing 1:1", "scheduler_bucket", "personal_training")
    items.edit_item(session, item, name="Boxing gloves", kind=OTHER, session_type=TRAINING)
    assert kept(session, item) == ("Boxing gloves", "other", None)
    with pytest.raises(SessionTypeMissing):
        items.edit_item(session, item, name="Boxing", kind=BUCKET, session_type=None)
    assert kept(session, item) == ("Boxing gloves", "other", None)


@pytest.mark.parametrize(("kind", "session_type"), [(BUCKET, TRAINING), (OTHER, None)])
def test_an_item_in_use_keeps_its_kind_and_type(gym: Gym, kind: ItemKind, session_type: SessionType | None) -> None:
    with pytest.raises(ItemInUse, match=r"'Spin' is in use \(1 offer\): its kind and session type stay"):
        items.edit_item(gym.session, gym.spin, name="Cycle", kind=kind, session_type=session_type)
    assert kept(gym.session, gym.spin) == ("Spin", "scheduler_bucket", "class")
    items.edit_item(gym.session, gym.spin, name="Cycle", kind=BUCKET, session_type=CLASS)
    assert kept(gym.session, gym.spin) == ("Cycle", "scheduler_bucket", "class")


def test_everything_that_refers_to_an_item_is_a_use(gym: Gym, session: Session) -> None:
    member = gym.join("one")
    gym.join("two")
    since, picks = NOW.date(), [gym.spin]
    change_plan(session, member, term=gym.term, since=since, picks=picks, reason="Asked.", by=BY, now=NOW)
    tell(session, paid("p1", "one"), paid("p2", "one"))
    assert items.uses_of(session, gym.spin.id) == (1, 2, 2, 0)
    assert items.uses_of(session, gym.towel.id) == (0, 0, 0, 0)
    yoga = made(session, "Yoga")
    adjustments.adjust(
        session,
        member_id=member.member_id,
        item_id=yoga.id,
        quantity=50,
        reason=AdjustmentReason.GOODWILL,
        note="Waits.",
        last_day=None,
        key=fresh("key"),
        by=BY,
        now=NOW,
        alone_up_to=1,
    )
    for item, uses in ((gym.spin, "1 offer, 2 memberships, 2 credit grants"), (yoga, "1 adjustment")):
        with pytest.raises(ItemInUse, match=rf"in use \({uses}\): retire it instead"):
            items.delete_item(session, item)
        assert item in session
        assert kept(session, item)[0] == item.name


def test_an_item_that_nothing_uses_is_deleted(gym: Gym, session: Session) -> None:
    items.delete_item(session, gym.towel)
    assert session.scalars(select(Item.name).order_by(Item.name)).all() == ["Spin", "Training"]


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        (" \t", NameMissing, "A name is required"),
        ("x" * 201, TextTooLong, "at most 200 characters"),
        (" Spin ", NameTaken, "There is already an item 'Spin': choose another name"),
    ],
)
def test_a_name_is_given_short_and_free(gym: Gym, name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        made(gym.session, name)
    with pytest.raises(error, match=message):
        items.edit_item(gym.session, gym.towel, name=name, kind=OTHER, session_type=None)
    assert kept(gym.session, gym.towel)[0] == "Towel"
    assert kept(gym.session, made(gym.session, "x" * 200))[0] == "x" * 200


def test_a_refused_name_undoes_nothing_else(gym: Gym, session: Session) -> None:
    session.add(session_item("Yoga"))
    with pytest.raises(NameTaken):
        made(session, "Spin")
    assert session.scalar(select(func.count()).where(Item.name == "Yoga")) == 1


def test_only_a_taken_name_is_called_taken(gym: Gym, session: Session) -> None:
    session.add(session_item("Spin"))
    with pytest.raises(IntegrityError, match="uq_items_name"):
        made(session, "Yoga")
    session.rollback()
    with pytest.raises(IntegrityError, match="ck_items_kind"), named_once(session, "an item", "Yoga"):
        session.add(Item(name="Yoga", kind="thing"))


def test_of_two_at_once_one_gets_the_name(open_gym: Gym, engine: Engine) -> None:
    ended = together(engine, [lambda session: made(session, "Yoga").id] * 2)
    assert [type(end) for end in ended if not isinstance(end, int)] == [NameTaken]
    assert open_gym.session.scalars(select(Item.name).where(Item.name == "Yoga")).all() == ["Yoga"]


def delete(session: Session, item: Item) -> None:
    items.delete_item(session, item)


def change(session: Session, item: Item) -> None:
    items.edit_item(session, item, name=item.name, kind=BUCKET, session_type=TRAINING)


@pytest.mark.parametrize("act", [delete, change])
def test_an_item_is_not_pulled_from_under_an_offer_that_is_just_adding_it(
    open_gym: Gym, engine: Engine, act: Callable[[Session, Item], None]
) -> None:
    session, item = open_gym.session, made(open_gym.session, "Yoga")
    session.commit()
    open_gym.offer.add_bucket(item)
    session.flush()

    def pull() -> None:
        with sessions(engine).begin() as other:
            act(other, other.get_one(Item, item.id))

    with ThreadPoolExecutor() as pool:
        pulling = pool.submit(pull)
        wait_until_blocked(engine, pulling.done)
        session.commit()
        with pytest.raises(ItemInUse, match=r"'Yoga' is in use \(1 offer\)"):
            pulling.result()
    assert kept(session, item) == ("Yoga", "scheduler_bucket", "class")
