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
    assert unknown.code == 1
    assert unknown.err == (
        "Error: These columns are not known: 'E-Mail'. Say for each which column it is, or that it is left out."
        ' For example --map "E-Mail=email", or --map "E-Mail=" to leave it out.\n'
    )
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
    assert done.out.splitlines()[-1].split(maxsplit=3) == ["2", "1", "club", "There is no club 'Atlantis'."]
    assert done.err == "Error: 1 row refused or in conflict: nothing was written.\n"
    assert value(make, "SELECT count(*) FROM import_rows") == 0
    people.write_bytes(b"email,name\na,\xff\n")
    assert gym("import", "people", str(people)).err == 'Error: Row 2 is not UTF-8 text. Save the file as "CSV UTF-8".\n'


def test_what_is_wrong_with_many_rows_is_said_once(gym: Spp, make: Make, people: Path) -> None:
    head, first = PEOPLE.replace("Riverside", "Atlantis").splitlines()
    lines = [first.replace("dora", f"dora{number}") for number in range(2, 152)]
    lines[48] = lines[48].replace("Atlantis", "Riverside").replace("2024-03-01", "03/01/2024")
    people.write_text("\n".join([head, *lines]))
    done = gym("import", "people", str(people), *MAP, "--credits-from", "2026-12-01")
    assert [line.split(maxsplit=4) for line in done.out.splitlines()[-2:]] == [
        ["2-49,", "51-151", "149", "club", "There is no club 'Atlantis'."],
        ["50", "1", "joined", "'03/01/2024'", "is not a day: write it like 2026-01-31."],
    ]


def test_what_was_only_tried_keeps_nobodys_data_also_where_nobody_reads_on(
    gym: Spp, make: Make, people: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(*_: object, **__: object) -> None:
        raise BrokenPipeError

    with monkeypatch.context() as patched:
        patched.setattr("console.cli.importing.click.echo", closed)
        gym("import", "people", str(people), *MAP, "--credits-from", "2026-12-01")
    assert value(make, "SELECT state FROM imports") == "discarded"
    assert value(make, "SELECT count(*) FROM import_rows") == 0


def test_a_template_begins_with_the_names_of_the_columns(gym: Spp) -> None:
    assert gym("import", "template", "balances").out.startswith("email,name,item,left,of,last day,usable from,")
    assert "last day" in gym("import", "template", "balances", "--explain").out
