"""spp import: a dry run unless --write says otherwise, with the rows that have to be mended."""

from pathlib import Path

import pytest

from tests.console.conftest import Spp
from tests.worker.scene import Make, value

PEOPLE = (
    "E-Mail;name;club;offer;picks;joined;endpoint;billing references\n"
    "dora@example.com;Dora;Riverside;All In;Personal Training;2024-03-01;stripe;sub_dora\n"
)
MAP = ("--map", "E-Mail=email")
WRITE = ("--write", "--reason", "we move in")


@pytest.fixture
def people(tmp_path: Path) -> Path:
    file = tmp_path / "people.csv"
    file.write_text(PEOPLE)
    return file


def test_people_and_their_balances_move_in_and_out_again(gym: Spp, make: Make, people: Path, tmp_path: Path) -> None:
    unknown = gym("import", "people", str(people))
    assert (unknown.code, unknown.err[:50]) == (1, "Error: These columns are not known: 'E-Mail'. Say ")
    tried = gym("import", "people", str(people), *MAP, "--credits-from", "2026-12-01")
    assert tried.code == 0
    assert "1 new, 0 same, 0 conflict, 0 refused" in tried.out
    assert value(make, "SELECT count(*) FROM members") == 3
    # The column is known by now.
    done = gym("import", "people", str(people), "--credits-from", "2026-12-01", *WRITE, "--json")
    assert (done.code, done.json["state"], done.json["new"]) == (0, "written", 1)
    assert done.json["totals"] == [
        {"club": "Riverside", "what": "All In", "verdict": "new", "rows": 1, "sessions": None}
    ]
    assert gym("member", "dora@example.com").code == 0
    balances = tmp_path / "balances.csv"
    balances.write_text("email,item,left,of,last day\ndora@example.com,Personal Training,3,10,never\n")
    assert gym("import", "balances", str(balances), *WRITE).code == 0
    shown = gym("member", "dora@example.com").out
    assert "opening balance" in shown.lower()
    assert "used before" in shown.lower()
    assert gym("redeem", "dora@example.com", "Personal Training").code == 0
    number = value(make, "SELECT max(id) FROM imports")
    used = gym("import", "undo", str(number), "--reason", "the wrong file")
    assert (used.code, "these rows were used or changed since: 2" in used.err) == (1, True)
    assert "balances.csv" in gym("import").out
    assert gym("import", "show", str(number), "--json").json["state"] == "written"


def test_rows_that_have_to_be_mended_are_listed_and_nothing_is_written(gym: Spp, make: Make, people: Path) -> None:
    people.write_text(PEOPLE.replace("Riverside", "Atlantis"))
    done = gym("import", "people", str(people), *MAP, "--credits-from", "2026-12-01", *WRITE)
    assert done.code == 1
    assert "2  club" in done.out
    assert "There is no club 'Atlantis'." in done.out
    assert done.err == "Error: 1 row refused or in conflict: nothing was written.\n"
    assert value(make, "SELECT count(*) FROM import_rows") == 0
    people.write_bytes(b"email,name\na,\xff\n")
    assert gym("import", "people", str(people)).err == 'Error: Row 2 is not UTF-8 text. Save the file as "CSV UTF-8".\n'


def test_a_template_begins_with_the_names_of_the_columns(gym: Spp) -> None:
    assert gym("import", "template", "balances").out.startswith("email,name,item,left,of,last day,usable from,")
    assert "last day" in gym("import", "template", "balances", "--explain").out
