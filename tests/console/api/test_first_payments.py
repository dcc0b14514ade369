"""First payments over the API: the code, the fields and links for it, and who awaits one."""

from pathlib import Path

from flask import Flask
from pydantic import SecretStr
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from local.standin import StandIn
from models.staff.actions import Action
from tests.console.api.conftest import Caller, Paid, answered, posted
from tests.models.gym import Gym, paid, tell

LINK = "https://buy.stripe.com/test_1?locale=en"


def test_a_membership_says_its_code_and_whether_it_awaits(reader: Caller, gym: Gym, ada: Paid) -> None:
    waits = gym.join()
    gym.session.commit()
    shown = answered(reader.get(f"/memberships/{waits.id}"))
    assert (shown["code"], shown["awaits_first_payment"]) == (waits.code, True)
    assert [row["awaits_first_payment"] for row in reader.data(f"/members/{ada.id}/memberships")] == [False]


def test_the_links_of_a_membership(reader: Caller, gym: Gym) -> None:
    waits = gym.join()
    gym.term.payment_link = LINK
    gym.session.commit()
    found = answered(reader.get(f"/memberships/{waits.id}/sign-up-links"))
    stripe, standard = found["ways"]
    assert (found["code"], found["awaits_first_payment"]) == (waits.code, True)
    email = waits.member.email.replace("@", "%40")
    assert stripe["link"] == f"{LINK}&client_reference_id={waits.code}&prefilled_email={email}"
    assert stripe["snippet"] == f"subscription_data[metadata][membership_code]={waits.code}"
    assert not stripe["can_make"], "there is no API key"
    assert (standard["snippet"], standard["link"]) == (f'"code": "{waits.code}"', None)


def test_a_page_at_stripe_is_made_and_logged(
    site: Flask, api: Caller, gym: Gym, session: Session, tmp_path: Path
) -> None:
    waits = gym.join()
    session.commit()
    with StandIn("stripe", tmp_path) as stripe:
        stripe_endpoint, *others = site.config["SPP"].endpoints
        options = {"api": stripe.url, "success_url": "https://gym.example/welcome"}
        allowed = {"options": options, "api_key": (SecretStr("sk_test_1"),)}
        nowhere = stripe_endpoint.model_copy(update={**allowed, "options": {"api": stripe.url}})
        site.config["SPP"] = site.config["SPP"].model_copy(update={"endpoints": (nowhere, *others)})
        ways = answered(api.get(f"/memberships/{waits.id}/sign-up-links"))["ways"]
        assert not ways[0]["can_make"], "there is no success_url"
        endpoints = (stripe_endpoint.model_copy(update=allowed), *others)
        site.config["SPP"] = site.config["SPP"].model_copy(update={"endpoints": endpoints})
        assert answered(api.get(f"/memberships/{waits.id}/sign-up-links"))["ways"][0]["can_make"]
        made = posted(api.post(f"/memberships/{waits.id}/sign-up-links", {"endpoint": "stripe"}))
        assert made["url"] == "https://checkout.stripe.com/cs_test_1"
        assert stripe.objects.get("sessions", "cs_test_1")["client_reference_id"] == waits.code
    act = session.scalars(select(Action).order_by(Action.id.desc())).first()
    assert act is not None
    assert (act.verb, act.subject) == ("make sign-up link", f"membership {waits.id} on stripe")


def test_a_page_that_cannot_be_made_is_refused_with_the_reason(api: Caller, gym: Gym) -> None:
    waits = gym.join()
    gym.session.commit()
    path = f"/memberships/{waits.id}/sign-up-links"
    problem = posted(api.post(path, {"endpoint": "stripe"}), 422)
    assert problem["detail"].startswith("No page for the first payment was made at 'stripe': stripe has no success_url")
    assert "put the code into the field" in posted(api.post(path, {"endpoint": "standard"}), 422)["detail"]
    assert posted(api.post(path, {"endpoint": "square"}), 422)["type"].endswith("/not-found")


def test_those_that_await_are_listed_page_by_page(reader: Caller, gym: Gym, ada: Paid, session: Session) -> None:
    waiting = [gym.join() for _ in range(3)]
    session.commit()
    assert reader.data("/awaiting-memberships") == [], "not for two weeks yet"
    found = [row["membership_id"] for page in reader.pages("/awaiting-memberships", days=0, limit=2) for row in page]
    assert found == [one.id for one in waiting]
    session.execute(text("UPDATE memberships SET recorded_at = recorded_at - interval '15 days'"))
    session.commit()
    first, *_ = reader.data("/awaiting-memberships")
    assert (first["membership_id"], first["code"]) == (waiting[0].id, waiting[0].code)


def test_a_payment_term_has_a_payment_link(api: Caller, gym: Gym) -> None:
    path = f"/payment-terms/{gym.term.id}"
    problem = answered(api.patch(path, payment_link="http://buy.stripe.com/1"), 403)
    assert problem["status"] == 403


def test_a_membership_that_waits_too_long_is_removed(
    reader: Caller, manager: Caller, gym: Gym, ada: Paid, session: Session
) -> None:
    gone, stays = gym.join("sub_gone"), gym.join()
    session.execute(
        text("UPDATE memberships SET recorded_at = now() - interval '31 days' WHERE id = :id"), {"id": gone.id}
    )
    session.commit()
    ada_bought = reader.data(f"/members/{ada.id}/memberships")[0]["id"]
    for one in (stays.id, ada_bought):
        refused = posted(manager.post(f"/memberships/{one}/removal", {"reason": "gone"}, f"r-{one}"), 409)
        assert refused["type"].endswith("/not-removable")
    for _ in range(2):  # a repetition gets the first answer
        assert (
            posted(manager.post(f"/memberships/{gone.id}/removal", {"reason": "gone"}, "r"))["membership_id"] == gone.id
        )
    answered(reader.get(f"/memberships/{gone.id}"), 404)
    assert [one["membership_id"] for one in reader.data("/awaiting-memberships", days="0")] == [stays.id]
    assert [one["membership_id"] for one in reader.data("/moving-in/memberships")] == [stays.id]
    session.rollback()
    act = session.scalars(select(Action).where(Action.verb == "remove membership")).one()
    assert (act.reason, act.member_id) == ("gone", gone.member_id)
    assert (
        session.scalar(text("SELECT count(*) FROM billing_references WHERE membership_id = :id"), {"id": gone.id}) == 0
    )


def test_several_that_wait_too_long_are_removed_all_or_none(
    reader: Caller, manager: Caller, gym: Gym, session: Session
) -> None:
    old, young = [gym.join(), gym.join()], gym.join()
    session.execute(
        text("UPDATE memberships SET recorded_at = now() - interval '31 days' WHERE id <> :id"), {"id": young.id}
    )
    session.commit()
    ids, path = [one.id for one in old], "/awaiting-memberships/removals"
    refused = posted(manager.post(path, {"membership_ids": [*ids, young.id], "reason": "gone"}, "r-1"), 409)
    assert refused["type"].endswith("/not-removable")
    assert len(reader.data("/awaiting-memberships", days="0")) == 3
    posted(manager.post(path, {"membership_ids": [], "reason": "gone"}, "r-2"), 422)
    for _ in range(2):  # a repetition gets the first answer
        gone = posted(manager.post(path, {"membership_ids": ids, "reason": "gone"}, "r-3"))
        assert [one["membership_id"] for one in gone["data"]] == ids
    assert [one["membership_id"] for one in reader.data("/awaiting-memberships", days="0")] == [young.id]


def test_the_first_steps_until_a_payment_has_given_sessions(reader: Caller, gym: Gym, session: Session) -> None:
    steps = answered(reader.get("/first-steps"))["steps"]
    assert [(one["name"], one["done"]) for one in steps][2:] == [
        ("offer", True), ("endpoint", True), ("members", False), ("payment", False),
    ]  # fmt: skip
    gym.join("sub_1")
    tell(session, paid("in_1", "sub_1"))
    assert answered(reader.get("/first-steps"))["steps"] == []
