"""No export has a cell that a spreadsheet would compute, however it takes the file apart; and no text is lost."""

import csv
import re
import unicodedata
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.spreadsheet import as_written, pieces, plain

WIDE = "\N{FULLWIDTH EQUALS SIGN}"
FORMULA = f"=+-@{WIDE}\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b"
SKIPPED = ' \t\r\n\N{NO-BREAK SPACE}\N{ZERO WIDTH SPACE}\ufeff\x00"'
TEXTS = st.text(
    st.sampled_from([*FORMULA, *SKIPPED, *";,|'a1(é"]) | st.characters(exclude_categories=["Cs"]), max_size=12
)


def written(*rows: tuple[str | int | None, ...]) -> str:
    return "".join(pieces(("name", "item"), [rows]))


def begins_a_formula(cell: str) -> bool:
    """As the most credulous program would see it."""
    rest = cell.lstrip(SKIPPED + "".join(map(chr, range(32))))
    return bool(rest) and unicodedata.normalize("NFKC", rest[0]) in set("=+-@")


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=3))
def test_no_cell_begins_a_formula_whatever_separates(rows: list[tuple[str, str]]) -> None:
    file = written(*rows)
    assert not [cell for row in csv.reader(StringIO(file, newline="")) for cell in row if begins_a_formula(cell)]
    # Programs that expect another separator, and such as know nothing of quotes.
    for separator in ";,\t|":
        for line in re.split(r"[\r\n]", file):
            assert not [cell for cell in line.split(separator) if begins_a_formula(cell)]


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=3))
def test_every_field_is_quoted_and_only_apostrophes_are_added(rows: list[tuple[str, str]]) -> None:
    file = written(*rows)
    assert file.startswith('"name","item"\r\n"')
    read = [tuple(row) for row in csv.reader(StringIO(file, newline=""))][1:]
    assert [[cell.replace("'", "") for cell in row] for row in read] == [
        [cell.replace("'", "") for cell in row] for row in rows
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Ada Archer", "Ada Archer"),
        ("O'Hara-Smith, Zoë", "O'Hara-Smith, Zoë"),
        ("ada+gym@example.com", "ada+gym@example.com"),
        ("Yoga (60 min) - beginners", "Yoga (60 min) - beginners"),
        ("=1+1", "'=1+1"),
        (f"{WIDE}1+1", f"'{WIDE}1+1"),
        (" \t@SUM(A1)", "' \t'@SUM(A1)"),
        ("Ada;=cmd|' /C calc'!A0", "Ada;'=cmd|' /C calc'!A0"),
        ("Ada\r\n-2", "Ada\r'\n'-2"),
        ('","=1+1', '",\'"=1+1'),
        ("\ufeff=1", "'\ufeff=1"),
    ],
)
def test_what_is_made_harmless_and_what_stays(text: str, told: str) -> None:
    assert plain(text).replace("'", "") == text.replace("'", "")
    assert plain(text) == told


@given(TEXTS.filter(lambda text: "'" not in text))
def test_what_was_made_harmless_is_read_as_it_was_written(text: str) -> None:
    assert as_written(plain(text)) == text


@pytest.mark.parametrize("skipped", ["", *SKIPPED])
@pytest.mark.parametrize("begin", FORMULA)
def test_every_sign_that_begins_a_formula_is_known(begin: str, skipped: str) -> None:
    for before in ("", *("x" + separator for separator in ";,|\t")):
        assert plain(f"{before}{skipped}{begin}1").startswith(f"{before}'{skipped}")


def test_numbers_stay_numbers() -> None:
    assert written(("Ada", -5)) == '"name","item"\r\n"Ada","-5"\r\n'
