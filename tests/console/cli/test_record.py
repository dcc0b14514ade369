"""edit-member, change-club, unlink, and members who share an address."""

from models.members.lookup import find_member
from models.members.memberships import owners
from tests.console.conftest import Spp
from tests.worker.scene import Make, run, value

ANN, BEN = "ann@example.com", "ben@example.com"
WHY = ("--reason", "asked for it")
OFFER = ("--club", "Riverside", "--offer", "All In", "--term", "Monthly", "--pick", "Personal Training")


def sign_up(spp: Spp, *more: str) -> object:
    done = spp("sign-up", *OFFER, *more, "--json")
    assert done.code == 0, done.err
    return done.json["membership"]


def test_a_name_and_an_address_are_edited(gym: Spp, make: Make) -> None:
    done = gym("edit-member", ANN, "--name", "Ann Lee", "--email", "lee@example.com", *WHY)
    assert done.out.splitlines()[-1] == f"email {ANN} -> lee@example.com"
    assert gym("edit-member", "#1", "--name", "Ann Lee").out == "Nothing was changed.\n"
    assert gym("member", "1", "--json").json["member"] == "lee@example.com"
    assert value(make, "SELECT count(*) FROM actions WHERE verb = 'edit member' AND reason = 'asked for it'") == 2


def test_the_address_of_another_member(gym: Spp) -> None:
    refused = gym("edit-member", BEN, "--email", ANN)
    assert (refused.code, refused.out) == (1, "")
    assert "Member 1 has this address already." in refused.err
    assert gym("edit-member", BEN, "--email", ANN, "--another-person").code == 0


def test_a_family_is_asked_which(paid_ann: Spp, make: Make) -> None:
    spp, every = paid_ann, ["--member", ANN]
    made = sign_up(spp, *every, "--name", "Bo", "--another-person")
    with make() as session:
        bo = find_member(session, str(value(make, "SELECT max(id) FROM members")))
    assert bo is not None
    listed = f"Several members share {ANN}, say which one by the id: 1 ({{}}), {bo.id} (Bo)."
    listed = listed.format(value(make, "SELECT name FROM members WHERE id = 1"))
    for asked in (
        ["member", ANN], ["redeem", ANN, "Group Class"], ["adjust", ANN, "Group Class", "1", "--reason", "goodwill",
        "--note", "x"], ["link", "stripe:sub_9", ANN], ["change-plan", ANN, *WHY],
        ["unlink", "stripe:sub_ann", ANN, *WHY],
        ["change-club", ANN, "Riverside", *WHY], ["edit-member", ANN], ["events", "--member", ANN],
        ["send", "stripe", "--sample", "paid", "--member", ANN],
        ["sign-up", *OFFER, *every, "--name", "Bo"],
    ):  # fmt: skip
        refused = spp(*asked)
        assert (refused.code, refused.out) == (1, ""), asked
        assert listed in refused.err
    assert spp("redeem", "1", "Group Class").code == 0
    assert spp("adjust", f"#{bo.id}", "Group Class", "1", "--reason", "goodwill", "--note", "x").code == 0
    assert f"membership {made};" in spp("link", "stripe:sub_9", str(bo.id)).out
    assert spp("link", "stripe:sub_8", ANN, "--membership", str(made), "--json").json["membership"] == made
    assert sign_up(spp, "--member", str(bo.id)) != made
    assert spp("events", "--member", "1").code == 0


def test_a_new_member_needs_a_name(gym: Spp) -> None:
    refused = gym("sign-up", *OFFER, "--member", "new@example.com")
    assert (refused.code, refused.out) == (2, "")
    assert "Give --name with an e-mail address." in refused.err


def test_a_membership_moves_to_another_club(gym: Spp, make: Make) -> None:
    run(make, "INSERT INTO clubs (name, time_zone, currency, shortfall_policy) VALUES"
              " ('Uptown', 'America/New_York', 'USD', 'repay')")  # fmt: skip
    wish = ["change-club", ANN, "Uptown", *WHY]
    planned = gym(*wish, "--dry-run")
    assert "count by the days of Uptown." in planned.out
    assert value(make, "SELECT count(*) FROM earlier_clubs") == 0
    done = gym(*wish, "--json").json
    assert (done["membership"], done["club"], done["changed"], done["what"]) == (1, "Uptown", True, planned.out.strip())
    again = gym(*wish)
    assert (again.code, again.out) == (1, "")
    assert "Membership 1 is at 'Uptown' already" in again.err


def test_a_reference_is_moved_and_removed(paid_ann: Spp, make: Make) -> None:
    wish = ["unlink", "stripe:sub_ann", ANN, *WHY]
    planned = paid_ann(*wish, "--to", BEN, "--dry-run")
    assert "1 payment that it has matched stays with membership 1." in planned.out
    with make() as session:
        assert owners(session, "stripe", "sub_ann") == [1]
        moved = paid_ann(*wish, "--to", BEN, "--to-membership", "2", "--json").json
        assert (moved["to"], moved["changed"], moved["what"]) == (2, True, planned.out.strip())
        assert owners(session, "stripe", "sub_ann") == [2]
        assert paid_ann("unlink", "stripe:sub_ann", BEN, *WHY).code == 0
        assert owners(session, "stripe", "sub_ann") == []
    gone = paid_ann(*wish)
    assert (gone.code, gone.out) == (1, "")
    assert "There is no billing reference of membership 1: 'sub_ann'." in gone.err
    assert paid_ann(*wish, "--to-membership", "2").code == 2
