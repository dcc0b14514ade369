"""Whose an unmatched payment may be: what is suggested, in which order, and what is not."""

from dataclasses import replace

from sqlalchemy.orm import Session

from models.payments.facts import Claimed
from models.payments.suggestions import Likeness, Payment, suggest
from tests.models.gym import DUES, PAID_AT, Gym, paid, tell

LOST = Payment("stripe", DUES + 1, "USD")


def suggested(session: Session, payment: Payment) -> list[tuple[int, list[Likeness]]]:
    return [(one.membership_id, list(one.likenesses)) for one in suggest(session, payment, limit=5)]


def test_by_the_e_mail_address_in_any_case(session: Session, gym: Gym) -> None:
    ada = gym.join("sub_ada")
    gym.join("sub_ben")
    assert suggested(session, LOST._replace(email=ada.member.email.upper())) == [(ada.id, [Likeness.EMAIL])]


def test_by_the_name_in_any_order_and_never_by_a_part_of_it(session: Session, gym: Gym) -> None:
    ada = gym.join("sub_ada")
    ada.member.name = "Ada Lovelace"
    session.flush()
    assert suggested(session, LOST._replace(name="LOVELACE, Ada")) == [(ada.id, [Likeness.NAME])]
    assert suggested(session, LOST._replace(name="Ada Byron")) == []


def test_by_the_customer_of_an_earlier_payment_or_of_a_billing_reference(session: Session, gym: Gym) -> None:
    ada, ben = gym.join("sub_ada"), gym.join("cus_ben")
    tell(session, replace(paid("in_1", "sub_ada"), payer=("cus_ada",)))
    assert suggested(session, LOST._replace(payer=["cus_ada"])) == [(ada.id, [Likeness.CUSTOMER])]
    assert suggested(session, LOST._replace(payer=["cus_ben"])) == [(ben.id, [Likeness.CUSTOMER])]
    assert suggested(session, LOST._replace(payer=["cus_ben"], endpoint="other")) == []


def test_equal_dues_alone_suggest_only_who_has_no_billing_reference(session: Session, gym: Gym) -> None:
    gym.join("sub_ada")
    new = gym.join()
    assert suggested(session, LOST._replace(amount_minor=DUES)) == [(new.id, [Likeness.DUES])]
    assert suggested(session, LOST._replace(amount_minor=DUES, currency="EUR")) == []


def test_the_surest_first_and_then_what_has_more_in_common(session: Session, gym: Gym) -> None:
    by_name, by_mail, by_both = gym.join("sub_1"), gym.join("sub_2"), gym.join("cus_3")
    for membership, name in ((by_name, "Grace Hopper"), (by_mail, "G Hopper"), (by_both, "Grace Hopper")):
        membership.member.name = name
    session.flush()
    payment = LOST._replace(name="Grace Hopper", email=by_mail.member.email, payer=["cus_3"], amount_minor=DUES)
    assert suggested(session, payment) == [
        (by_both.id, [Likeness.CUSTOMER, Likeness.NAME, Likeness.DUES]),
        (by_mail.id, [Likeness.EMAIL, Likeness.DUES]),
        (by_name.id, [Likeness.NAME, Likeness.DUES]),
    ]


def test_whose_code_came_with_it_is_the_surest(session: Session, gym: Gym) -> None:
    ada = gym.join("sub_ada")
    ben = gym.join("cus_ben")
    tell(session, paid("in_1", "sub_ada"), Claimed("sub_2", PAID_AT, ada.code, from_link=True))
    found = suggested(session, LOST._replace(payer=["sub_2", "cus_ben"]))
    assert found == [(ada.id, [Likeness.CODE]), (ben.id, [Likeness.CUSTOMER])]
