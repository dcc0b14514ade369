"""Clubs: where members sign up, in whose local days sessions expire, and in whose currency dues are paid."""

from datetime import UTC
from enum import StrEnum
from typing import TypedDict, Unpack
from zoneinfo import available_timezones

from sqlalchemy import CheckConstraint, String, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.database.base import Base, Currency, Id, MinorUnits, one_of
from models.database.naming import name_given, named_once, unless_in_use
from models.errors import ClubInUse, NegativeNumber, NotPositive, NumberTooLarge, WrongTimeZone
from models.wording import counted, currency_code, money
from runtime.language import ENGLISH, Spoken, noted, say

REFUND_FEE_PERCENT, REFUND_FEE_MOST_MINOR = 5, 1000
"""What a new club keeps its refund fees to, unless somebody says otherwise."""
MAX_REFUND_FEE_PERCENT, MAX_REFUND_FEE_MINOR = 20, 10**9
OVERDUE_GRACE_DAYS, MAX_OVERDUE_GRACE_DAYS = 7, 90


class ShortfallPolicy(StrEnum):
    """What becomes of sessions already used when their payment is reversed."""

    REPAY = "repay"
    """The next grant of that item repays them first."""
    FORGIVE = "forgive"
    """The club bears them."""


class UseWhileOverdue(StrEnum):
    """Whether sessions can be used while the dues of their membership are overdue. They were paid for before."""

    WARN = "warn"
    """They can, and the desk sees it."""
    GRACE = "grace"
    """They can for some days; then only with a reason."""
    STRICT = "strict"
    """Only with a reason."""


class Club(Base):
    """A gym: its local days decide when sessions expire."""

    __tablename__ = "clubs"
    __table_args__ = (
        CheckConstraint("currency ~ '^[A-Z]{3}$'", "currency"),
        CheckConstraint(one_of("shortfall_policy", ShortfallPolicy), "shortfall_policy"),
        CheckConstraint(
            f"refund_fee_percent BETWEEN 0 AND {MAX_REFUND_FEE_PERCENT} AND refund_fee_most_minor >= 0", "refund_fee"
        ),
        CheckConstraint(one_of("use_while_overdue", UseWhileOverdue), "use_while_overdue"),
        CheckConstraint(one_of("locale", Spoken), "locale"),
        CheckConstraint(f"overdue_grace_days BETWEEN 1 AND {MAX_OVERDUE_GRACE_DAYS}", "overdue_grace_days"),
    )

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(String(200), unique=True)
    time_zone: Mapped[str] = mapped_column(String(64))
    """IANA name, such as America/Chicago."""
    currency: Mapped[Currency]
    shortfall_policy: Mapped[str] = mapped_column(default=ShortfallPolicy.REPAY.value)
    refund_fee_percent: Mapped[int] = mapped_column(server_default=text(str(REFUND_FEE_PERCENT)))
    """A refund that leaves no more than this share of the payment counts as all of it: the processor kept a fee."""
    refund_fee_most_minor: Mapped[MinorUnits] = mapped_column(server_default=text(str(REFUND_FEE_MOST_MINOR)))
    """And no more than this amount, in minor units."""
    use_while_frozen: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether sessions can be used on days on which their membership is frozen."""
    use_while_overdue: Mapped[str] = mapped_column(server_default=UseWhileOverdue.WARN.value)
    overdue_grace_days: Mapped[int] = mapped_column(server_default=text(str(OVERDUE_GRACE_DAYS)))
    """For how many local days after the one on which dues failed, if use is for a `grace`."""
    apply_announcements: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether ends of memberships that the payment provider announces apply by themselves."""
    locale: Mapped[str] = mapped_column(String(5), server_default=ENGLISH)
    """In which language and formats people of the club see pages, unless they chose another one."""


_MEMBERSHIPS = text("""
    SELECT count(*) FROM (
        SELECT id FROM memberships WHERE club_id = :club
        UNION SELECT membership_id FROM earlier_clubs WHERE club_id = :club
    ) held
""")

_NO_PLACES = {"Factory", "localtime"}
"""In the time zone database of some machines, but on no clock that a member can read."""


class ClubFields(TypedDict, total=False):
    """The fields of a club to change."""

    name: str
    time_zone: str
    currency: str
    shortfall_policy: ShortfallPolicy
    refund_fee_percent: int
    refund_fee_most_minor: int
    use_while_frozen: bool
    use_while_overdue: UseWhileOverdue
    overdue_grace_days: int
    apply_announcements: bool
    locale: Spoken


FIELDS = tuple(ClubFields.__annotations__)


def create_club(
    session: Session, *, name: str, time_zone: str, currency: str,
    shortfall_policy: ShortfallPolicy = ShortfallPolicy.REPAY,
    refund_fee_percent: int = REFUND_FEE_PERCENT, refund_fee_most_minor: int = REFUND_FEE_MOST_MINOR,
    use_while_frozen: bool = False,
    use_while_overdue: UseWhileOverdue = UseWhileOverdue.WARN, overdue_grace_days: int = OVERDUE_GRACE_DAYS,
    apply_announcements: bool = False, locale: Spoken = Spoken.EN_US,
) -> Club:  # fmt: skip
    """Make a club.

    Raises NameMissing, TextTooLong, NameTaken, WrongTimeZone, WrongCurrencyCode, NegativeNumber, NotPositive or
    NumberTooLarge.
    """
    code = currency_code(currency)
    _check_refund_fee(refund_fee_percent, refund_fee_most_minor, code)
    _check_grace(overdue_grace_days)
    club = Club(
        name=name_given(name),
        time_zone=zone_name(time_zone),
        currency=code,
        shortfall_policy=shortfall_policy.value,
        refund_fee_percent=refund_fee_percent,
        refund_fee_most_minor=refund_fee_most_minor,
        use_while_frozen=use_while_frozen,
        use_while_overdue=use_while_overdue.value,
        overdue_grace_days=overdue_grace_days,
        apply_announcements=apply_announcements,
        locale=locale.value,
    )
    with named_once(session, noted("a club"), club.name):
        session.add(club)
    return club


def edit_club(session: Session, club: Club, **changed: Unpack[ClubFields]) -> None:
    """Change a club; its currency only while it has no memberships. Fields that are not named stay.

    Raises what `create_club` raises, or ClubInUse.
    """
    given, zone = name_given(changed.get("name", club.name)), zone_name(changed.get("time_zone", club.time_zone))
    code, policy = currency_code(changed.get("currency", club.currency)), changed.get("shortfall_policy")
    percent = changed.get("refund_fee_percent", club.refund_fee_percent)
    most = changed.get("refund_fee_most_minor", club.refund_fee_most_minor)
    _check_refund_fee(percent, most, code)
    use, days = changed.get("use_while_overdue"), changed.get("overdue_grace_days", club.overdue_grace_days)
    _check_grace(days)
    if club.currency != code:
        session.refresh(club, with_for_update=True)  # a lock: nobody signs up there before this is committed
        if held := _memberships(session, club.id):
            consequence = say("its currency stays {currency}", currency=club.currency)
            raise ClubInUse(club=club.name, memberships=counted(held, "membership"), consequence=consequence)
    with named_once(session, noted("a club"), given):
        club.name, club.time_zone, club.currency = given, zone, code
        club.refund_fee_percent, club.refund_fee_most_minor = percent, most
        club.shortfall_policy = policy.value if policy else club.shortfall_policy
        club.use_while_frozen = changed.get("use_while_frozen", club.use_while_frozen)
        club.use_while_overdue, club.overdue_grace_days = use.value if use else club.use_while_overdue, days
        club.apply_announcements = changed.get("apply_announcements", club.apply_announcements)
        club.locale = Spoken(changed.get("locale", club.locale)).value


_ITEMS = text("SELECT string_agg(name, ', ' ORDER BY name) FROM items WHERE :club = ANY(club_ids)")


def delete_club(session: Session, club: Club) -> None:
    """Delete a club at which nobody has signed up or checked in, to which no account is bound and which no item lists.

    Raises ClubInUse.
    """
    club_id, name = club.id, club.name

    def refusal() -> ClubInUse:
        held = _memberships(session, club_id)
        used = counted(held, "membership") if held else say("redemptions, or staff accounts that are bound to it")
        return ClubInUse(club=name, memberships=used, consequence="it cannot be deleted")

    with unless_in_use(session, refusal):
        session.delete(club)
        session.flush()  # locks the club: no item begins to list it before this is committed
        if items := session.scalar(_ITEMS, {"club": club_id}):
            raise ClubInUse(
                club=name, memberships=say("items ({items})", items=items), consequence="it cannot be deleted"
            )


def house_zone(session: Session) -> str:
    """The zone for what belongs to no member: that of the first club, or UTC before there is one."""
    return session.scalar(select(Club.time_zone).order_by(Club.id).limit(1)) or str(UTC)


def zone_name(typed: str) -> str:
    """The IANA name of a time zone. Raises WrongTimeZone."""
    name = typed.strip()
    if name not in available_timezones() - _NO_PLACES:
        raise WrongTimeZone(name=name)
    return name


def _check_refund_fee(percent: int, most_minor: int, currency: str) -> None:
    for field, what, value, limit in (
        ("refund_fee_percent", noted("The refund fee in percent"), percent, MAX_REFUND_FEE_PERCENT),
        ("refund_fee_most_minor", noted("The refund fee"), most_minor, MAX_REFUND_FEE_MINOR),
    ):
        if 0 <= value <= limit:
            continue
        shown = [f"{one} %" if field == "refund_fee_percent" else money(one, currency) for one in (value, limit)]
        if value < 0:
            raise NegativeNumber(field=field, what=what, value=shown[0])
        raise NumberTooLarge(field=field, what=what, value=shown[0], limit=shown[1])


def _check_grace(days: int) -> None:
    field, what = "overdue_grace_days", noted("The number of days")
    if days < 1:
        raise NotPositive(field=field, what=what, value=days)
    if days > MAX_OVERDUE_GRACE_DAYS:
        raise NumberTooLarge(field=field, what=what, value=days, limit=MAX_OVERDUE_GRACE_DAYS)


def _memberships(session: Session, club_id: int) -> int:
    return int(session.scalars(_MEMBERSHIPS, {"club": club_id}).one())
