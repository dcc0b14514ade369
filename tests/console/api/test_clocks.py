"""A test member by programs: a month goes by for it alone (paid, used, expired, paid again, refunded)."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from models.audit.checks import audit
from models.payments.facts import Reversed
from tests.console.api.conftest import Caller, Json, Paid, answered, posted
from tests.console.api.test_record import sign_up
from tests.models.gym import Event, Gym, deliver, fresh, paid

CHICAGO = ZoneInfo("America/Chicago")


def ends(days: int) -> str:
    return (datetime.now(CHICAGO).date() + timedelta(days=days)).isoformat()


def balances(api: Caller, member_id: int) -> dict[str, tuple[int, int]]:
    return {one["item"]: (one["usable"], one["shortfall"]) for one in api.data(f"/members/{member_id}/balances")}


def tell(gym: Gym, *facts: object) -> None:
    said = [Event(fresh("evt"), [fact], "stripe") for fact in facts]  # type: ignore[list-item]
    deliver(gym.session, said, now=datetime.now(CHICAGO))
    gym.session.commit()


def test_a_month_goes_by(manager: Caller, gym: Gym, ada: Paid) -> None:
    made = manager.make("/memberships", sign_up(gym, "tess@example.com", is_test=True))
    path = f"/members/{made['member_id']}"
    reference = {"endpoint": "stripe", "reference": "sub_tess"}
    posted(manager.post(f"/memberships/{made['id']}/billing-references", reference, fresh("key")))
    before = manager.data(f"/members/{ada.id}/grants"), manager.data(f"/members/{ada.id}/entries")

    tell(gym, paid("in_first", "sub_tess", at=datetime.now(CHICAGO)))
    use = {"member_id": made["member_id"], "item_id": gym.spin.id, "quantity": 3}
    manager.make("/redemptions", use)
    assert balances(manager, made["member_id"]) == {"Spin": (5, 0), "Training": (2, 0)}

    clock = manager.make(f"{path}/test-clock", {"day": ends(31)})
    assert clock["expired_grants"] == 1
    member: Json = answered(manager.get(path))
    assert member["is_test"]
    shown = datetime.fromisoformat(member["clock"])
    assert shown.astimezone(CHICAGO).date() == date.fromisoformat(ends(31))
    assert balances(manager, made["member_id"]) == {"Spin": (0, 0), "Training": (2, 0)}
    assert posted(manager.post("/redemptions", use, fresh("key")), 422)["why_not"]["reason"] == "expired"
    [expired] = [one for one in manager.data(f"{path}/entries") if one["kind"] == "expiry"]
    assert expired["quantity"] == -5

    tell(gym, paid("in_second", "sub_tess", at=shown))
    assert balances(manager, made["member_id"]) == {"Spin": (8, 0), "Training": (4, 0)}
    tell(gym, Reversed("in_first", shown, "refund:re_1", None, None))
    assert balances(manager, made["member_id"]) == {"Spin": (8, 3), "Training": (2, 0)}

    refused = posted(manager.post(f"{path}/test-clock", {"day": ends(31)}, fresh("key")), 422)
    assert refused["errors"][0]["pointer"] == "#/day"
    live = gym.join("sub_live", endpoint="live-one")
    gym.session.commit()
    wrong = posted(manager.post(f"/members/{live.member_id}/test-membership", {}, fresh("key")), 409)
    assert wrong["type"].endswith("paid-live")
    assert (manager.data(f"/members/{ada.id}/grants"), manager.data(f"/members/{ada.id}/entries")) == before
    assert list(audit(gym.session)) == []
