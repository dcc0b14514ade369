"""merge-members, undo-merge, erase-member: who a member is, from the command line."""

import click
import pytest

from tests.console.conftest import Spp
from tests.worker.scene import Make, rows

ANN, BEN = "ann@example.com", "ben@example.com"
WHY = ["--reason", "the same person"]
ASKED = ["--request", "by letter", "--asked-on", "2026-03-01"]


def usable(spp: Spp, email: str) -> int:
    return sum(int(row["usable"]) for row in spp("member", email, "--json").json["balances"])


def test_a_merge_says_what_moves_and_is_undone(paid_ann: Spp) -> None:
    done = paid_ann("merge-members", ANN, BEN, *WHY, "--yes", "--json")
    assert done.code == 0
    assert done.json["moved"].startswith("1 membership, 8 billing references, and 2 grants with ")
    assert usable(paid_ann, BEN) == usable(paid_ann, ANN) == 12
    again = paid_ann("merge-members", ANN, BEN, *WHY, "--yes")
    assert (again.code, again.err) == (1, "Error: That is the same member: choose another one.\n")
    number = str(done.json["from_member"])
    undone = paid_ann("undo-merge", number, *WHY)
    assert (undone.code, undone.out) == (0, f"Member {number} is a member of their own again.\n")
    assert (usable(paid_ann, BEN), usable(paid_ann, ANN)) == (0, 12)
    assert "is not merged" in paid_ann("undo-merge", number, *WHY).err


def test_a_merge_asks_first(paid_ann: Spp, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def no(words: str, **_: object) -> None:
        asked.append(words)
        raise click.Abort

    monkeypatch.setattr(click, "confirm", no)
    assert paid_ann("merge-members", ANN, BEN, *WHY).code == 130
    assert asked[0].endswith("\nMerge them?")
    assert usable(paid_ann, ANN) == 12


def test_a_person_is_erased_once_the_address_is_typed_again(paid_ann: Spp, make: Make) -> None:
    wrong = paid_ann("erase-member", ANN, *ASKED, "--confirm", BEN)
    assert (wrong.code, "Type the member's e-mail address" in wrong.err) == (1, True)
    done = paid_ann("erase-member", ANN, *ASKED, "--confirm", ANN)
    assert done.code == 0
    assert "name and e-mail address, the bodies of 1 event" in done.out
    assert paid_ann("member", ANN).code == 1
    assert rows(make, "SELECT verb, reason FROM actions WHERE verb LIKE '%erase%' ORDER BY id") == [
        ("ask to erase", "by letter"),
        ("erase member", "by letter"),
    ]
    assert paid_ann("audit").code == 0
