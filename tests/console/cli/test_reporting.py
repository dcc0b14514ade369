"""`spp report`: the owner's reports as tables, JSON and CSV."""

from models.reports.known import REPORTS
from tests.console.conftest import Spp
from tests.worker.scene import Make, value


def test_a_report_is_shown_as_a_table_as_json_and_as_csv(paid_ann: Spp, make: Make) -> None:
    assert [row["report"] for row in paid_ann("report", "--json").json] == [one.name for one in REPORTS]
    rows = paid_ann("report", "outstanding", "--club", "riverside", "--json").json
    assert {row["item"]: row["sessions"] for row in rows} == {"Group Class": 8, "Personal Training": 4}
    assert "Group Class" in paid_ann("report", "months", "--item", "Group Class").out
    heading, *lines = paid_ann("report", "expiring", "--days", "90", "--csv").out.splitlines()
    assert heading.startswith('"last day","member id","member",')
    assert all("Ann Archer" in line for line in lines)
    assert value(make, "SELECT string_agg(subject, ', ') FROM actions WHERE verb = 'export'") == "report expiring"


def test_what_it_cannot_report_says_why(paid_ann: Spp) -> None:
    for arguments, message in (
        (("outstanding", "--club", "Nowhere"), "There is no club 'Nowhere'."),
        (("outstanding", "--day", "2999-01-01"), "is not over yet"),
        (("busy-hours", "--since", "2026-02-01", "--until", "2026-01-01"), "2026"),
    ):
        done = paid_ann("report", *arguments)
        assert done.code == 1
        assert message in done.err
