"""The cut-over by programs: previewed, set and moved; what was paid before it gives nothing, and needs no review."""

from datetime import UTC, datetime, timedelta

from tests.console.api.conftest import PAID_AT, Caller, Paid, answered
from tests.models.gym import Gym


def test_it_is_previewed_set_and_taken_back(manager: Caller, gym: Gym, ada: Paid) -> None:
    path, day = f"/memberships/{ada.membership.id}/cut-over", timedelta(days=1)
    moment = (datetime.now(UTC) + day).isoformat()
    moves = answered(manager.get(f"{path}/preview", credits_from=moment))["moves"]
    assert [one["what"].split(" left, ")[0] for one in moves] == [
        "8 Spin sessions: 0 instead of 8", "2 Training sessions: 0 instead of 2"
    ]  # fmt: skip
    assert [(one["given_before"], one["given_after"]) for one in moves] == [(8, 0), (2, 0)]
    assert manager.usable(ada.id, "Spin") == 8
    done = answered(manager.patch(path, credits_from=moment, reason="moved in"))
    assert [one["what"] for one in done["moved"]] == [one["what"] for one in moves]
    assert answered(manager.patch(path, credits_from=moment, reason="moved in"))["moved"] == []
    [payment] = manager.data("/payments", state="before_cut_over")
    assert payment["reference"] == "in_1"
    assert manager.data("/reviews") == []
    assert answered(manager.get(f"/memberships/{ada.membership.id}"))["credits_from"] == done["credits_from"]
    entries = manager.data(f"/members/{ada.id}/entries")
    assert {one["note"] for one in entries if one["kind"] == "clawback"} == {
        "it was paid before the cut-over: an earlier system has given its sessions"
    }
    # The moment itself counts.
    answered(manager.patch(path, credits_from=PAID_AT.isoformat(), reason="on the day"))
    assert manager.usable(ada.id, "Spin") == 8
    wrong = answered(manager.patch(path, credits_from="2099-01-01T00:00:00Z", reason="x"), 422)
    assert wrong["errors"][0]["pointer"] == "#/credits_from"
