"""cut-over, moving-in, test-member, test-clock from the command line."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from local.sample_gym import PERSONAL_TRAINING
from tests.console.conftest import Spp
from tests.worker.scene import Make, rows

ANN, TESS = "ann@example.com", "tess@example.com"
TODAY = datetime.now(ZoneInfo("America/Chicago")).date()
TOMORROW = (TODAY + timedelta(days=1)).isoformat()


def test_a_cut_over_is_looked_at_set_and_taken_back(paid_ann: Spp, make: Make) -> None:
    planned = paid_ann("cut-over", ANN, TOMORROW, "--dry-run")
    assert "gives no sessions: an earlier system has given them." in planned.out
    _, *moves = planned.out.splitlines()
    assert [one.split(" left, ")[0] for one in moves] == [
        "  4 Personal Training sessions: 0 instead of 4",
        "  8 Group Class sessions: 0 instead of 8",
    ]
    assert rows(make, "SELECT credits_from FROM memberships WHERE credits_from IS NOT NULL") == []
    assert paid_ann("cut-over", ANN, TOMORROW, "--reason", "moved in", "--json").json["changed"]
    assert rows(make, "SELECT state FROM payments WHERE membership_id = 1") == [("before_cut_over",)]
    assert "Every payment gives its sessions" in paid_ann("cut-over", ANN, "--none", "--reason", "a mistake").out
    assert paid_ann("cut-over", ANN, "--reason", "x").code == 2
    assert paid_ann("cut-over", ANN, TOMORROW).code == 2


def test_what_is_left_is_listed(paid_ann: Spp) -> None:
    left = paid_ann("moving-in", "--json").json
    assert (left["unmatched"], left["memberships"]) == (0, 0)
    silent = {(one["member"], named["endpoint"]) for one in left["unheard"] for named in one["references"]}
    assert ("Ben Bishop", "stripe") in silent
    assert ("Ann Archer", "stripe") not in silent
    assert "stripe:sub_ben" in paid_ann("moving-in").out


def test_a_test_member_is_signed_up_and_its_clock_set(gym: Spp) -> None:
    wish = [
        "sign-up",
        "--member",
        TESS,
        "--name",
        "Tess",
        "--club",
        "Riverside",
        "--offer",
        "All In",
        "--term",
        "Monthly",
    ]
    assert gym(*wish, "--pick", PERSONAL_TRAINING, "--test", "--billing", "stripe:sub_tess").code == 0
    day = (TODAY + timedelta(days=31)).isoformat()
    assert gym("test-clock", TESS, day).out.startswith("Test member: its clock is 31 days ahead (")
    assert "Test member: its clock is 31 days ahead (" in gym("member", TESS).out
    assert "choose a later day" in gym("test-clock", TESS, day).err
    assert "no test endpoint" in gym("test-member", ANN).err, "endpoints that are not configured may be live"
    assert "already" in gym("test-member", TESS).err
