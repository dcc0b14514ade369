"""Whatever a file is made of: it is read, or refused with a message that names the row; never anything else."""

import csv
from io import BytesIO, StringIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session, sessionmaker

from models.errors import SppError, UnreadableFile
from models.moving import files, imports, working
from models.moving.columns import COLUMNS, Kind
from models.moving.imports import ImportState
from tests.models.gym import BY, Gym

PLAIN = "email,name\n"


def read(content: bytes) -> tuple[list[str], list[files.Row]]:
    header, rows = files.read(BytesIO(content))
    return header, list(rows)


@pytest.mark.parametrize(
    "content",
    [
        'email,name\nann@example.com,"Archer, Ann"\n\n,\nben@example.com,Ben\n',
        '\ufeffemail;name\r\nann@example.com;Archer, Ann\r\n\r\n;\r\n"ben@example.com";Ben',
        ' email ,"name",\nann@example.com,"Archer, Ann",\n\n,,\nben@example.com,Ben,\n',
        "\ufeffemail\tname\r\nann@example.com\tArcher, Ann\r\n\r\n\t\r\nben@example.com\tBen\r\n",
        "\ufeffsep=;\r\nemail;name\r\nann@example.com;Archer, Ann\r\n\r\n;\r\nben@example.com;Ben\r\n",
        "sep=\t\nemail\tname\nann@example.com\tArcher, Ann\n\n\t\nben@example.com\tBen\n",
        '"sep=,"\nemail,name\nann@example.com,"Archer, Ann"\n\n,\nben@example.com,Ben\n',
    ],
)
def test_commas_semicolons_tabs_and_byte_order_marks_read_the_same(content: str) -> None:
    header, rows = read(content.encode())
    assert (header, rows) == (
        ["email", "name"], [(2, ["ann@example.com", "Archer, Ann"]), (5, ["ben@example.com", "Ben"])]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "The file is empty"),
        (b"\xef\xbb\xbf", "The file is empty"),
        (PLAIN.encode("utf-16"), 'Row 1 is not UTF-8 text. Save the file as "CSV UTF-8".'),
        (b"email,name\na,b\nc,\xe4\n", "Row 3 is not UTF-8 text."),
        (b"email,name\na,b\nc\0,d\n", "Row 3 cannot be read: it has a control character in it."),
        (b'email,name\na,b\nc,"d\ne,f\n', "A quotation mark that is opened in row 3 is never closed."),
        (b'email,name\na,b\nc,"' + b"long line\n" * 20_000, "A quotation mark that is opened in row 3 is never closed"),
        (b'email,name\na,"b"c\n', "Row 2 cannot be read"),
        (b"email,name\ra,b\r", "Row 1 cannot be read: it has a line break of an old kind in it."),
        (b"email,name\na," + b"x" * 10_000_000, "Row 2 is longer than 65,536 bytes."),
        (b"x" * 10_000_000, "Row 1 is longer than 65,536 bytes."),
        (b"email,name\na," + b"x" * 2_001, "Row 2 has a cell of 2,001 characters, more than the 2,000"),
        (b"email,name\na,=HYPERLINK(1)\n", "Row 2 has a formula in it, '=HYPERLINK(1)'"),
        (b"email,name\na,b,c\n", "Row 2 has 3 cells, but the first row names 2 columns."),
        (b"email,name\na,b\nc\n", "Row 3 has 1 cells, but the first row names 2 columns."),
        (b"sep=|\nemail|name\n", "Row 1 cannot be read: it is separated by '|'. Save it with"),
        (b"sep=;\n", "The file is empty"),
        (b"email,,name\n", "Row 1 cannot be read: column 2 has no name."),
        (b",".join(b"c%d" % number for number in range(200)), "The file has 200 columns, more than the 100"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_refused_with_its_row(content: bytes, message: str) -> None:
    with pytest.raises(UnreadableFile) as refused:
        read(content)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("email,item,left,last day\n", "The file has no rows below the names of its columns."),
        ("email,item,left\na,b,c\n", "These columns are missing: last day. Each row needs them."),
        ("email,item,left,last day,Last_Day\n1,2,3,4,5\n", "Two columns, 'last day' and 'Last_Day', are both read as"),
    ],
)
def test_nothing_is_kept_of_a_file_that_cannot_be_used(gym: Gym, session: Session, content: str, message: str) -> None:
    with pytest.raises(SppError) as refused:
        imports.upload(session, Kind.BALANCES, BytesIO(content.encode()), file_name="a.csv", by=BY)
    assert str(refused.value).startswith(message)
    assert imports.latest(session) == []


def test_what_is_said_of_a_column_is_kept_for_the_next_file(gym: Gym, session: Session) -> None:
    content = BytesIO(b"E-Mail,item,left,last day,Phone\na@b.c,Spin,1,never,555\n")
    made = imports.upload(session, Kind.BALANCES, content, file_name="a.csv", by=BY)
    assert (made.state, made.unknown_columns) == ("unmapped", ["E-Mail", "Phone"])
    with pytest.raises(SppError, match="These columns are not known: Phone"):
        imports.map_columns(session, made.id, {"e-mail": "email"}, by=BY)
    with pytest.raises(SppError, match="There is no column 'telephone': choose one of email, name, item"):
        imports.map_columns(session, made.id, {"Phone": "telephone"}, by=BY)
    assert imports.map_columns(session, made.id, {"e-mail": "email", "Phone": ""}, by=BY).state == "judging"
    content.seek(0)
    assert imports.upload(session, Kind.BALANCES, content, file_name="b.csv", by=BY).keys == [
        "email", "item", "left", "last_day", ""
    ]  # fmt: skip


CELL = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ["ann@example.com", "Ann", "Downtown", "Gold", "Spin", "Spin|Training", "2024-02-01", "0000-00-00", "never",
         "1", "-1", "99999999999999999999", "1,188.00 USD", "\\", "{}", "'", "\u0130@x", "stripe", ":", "|", "yes"]
    ),
)  # fmt: skip


@given(data=st.data(), kind=st.sampled_from(Kind), mangle=st.sampled_from(["", '"', "\n", "\0", ";", "\xff"]))
@settings(max_examples=60)
def test_no_file_ends_in_anything_but_a_message(
    open_gym: Gym, make: sessionmaker[Session], data: st.DataObject, kind: Kind, mangle: str
) -> None:
    """Cells of every kind, columns in any order and number, and a byte slipped in somewhere."""
    names = [column.name for column in COLUMNS[kind]]
    header = data.draw(st.one_of(st.just(names), st.lists(st.one_of(st.sampled_from(names), CELL), max_size=20)))
    width = len(header)
    rows = data.draw(st.lists(st.lists(CELL, min_size=width, max_size=width + 1), max_size=5))
    text = StringIO()
    csv.writer(text).writerows([header, *(row[:width] for row in rows)])
    raw = text.getvalue().encode("utf-8", "surrogatepass")
    place = data.draw(st.integers(0, len(raw)))
    content = raw[:place] + mangle.encode("latin-1") + raw[place:]
    try:
        with make.begin() as session:
            made = imports.upload(session, kind, BytesIO(content), file_name="f.csv", by=BY)
    except SppError:
        return
    working.run(make, made.id, endpoints=("stripe",))
    with make.begin() as session:
        made = imports.the_import(session, made.id)
        assert (made.state, made.problem) in {(ImportState.JUDGED, None), (ImportState.UNMAPPED, None)}
        if made.state == ImportState.JUDGED:
            lines = imports.rows(session, made.id, limit=10)
            assert all(line.problems for line in lines if line.verdict == "refused")
            assert made.refused_rows == sum(line.verdict == "refused" for line in lines)
