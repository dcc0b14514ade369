"""export: what people and programs get."""

import csv
from io import StringIO
from pathlib import Path

from tests.console.conftest import Spp
from tests.worker.scene import Make, value


def test_export_writes_a_file_now_or_as_of_a_moment(paid_ann: Spp, make: Make, tmp_path: Path) -> None:
    assert "Members with what they can use" in paid_ann("export").out
    listed = {one["file"]: one["columns"] for one in paid_ann("export", "--json").json}
    written = paid_ann("export", "members").out
    rows = list(csv.DictReader(StringIO(written, newline="")))
    assert list(rows[0]) == list(listed["members"])
    assert [(row["item"], row["usable"]) for row in rows if row["email"] == "ann@example.com"] == [
        ("Group Class", "8"),
        ("Personal Training", "4"),
    ]
    assert paid_ann("export", "members", "--to", str(tmp_path / "members.csv")).out == ""
    assert (tmp_path / "members.csv").read_bytes().decode() == written
    assert paid_ann("export", "grants", "--as-of", "2020-01-01").out.count("\n") == 1
    assert value(make, "SELECT count(*) FROM actions WHERE verb = 'export'") == 3
    assert paid_ann("export", "nobody").code == 2
