"""The owner's reports by the API: the same numbers as JSON and as CSV, for managers."""

from datetime import UTC, datetime

from models.ledger.redemptions import redeem
from models.reports.known import REPORTS
from tests.console.api.conftest import Caller
from tests.models.gym import BY, Gym, paid, tell


def test_each_report_is_answered_with_what_its_description_names(manager: Caller, gym: Gym) -> None:
    now = datetime.now(UTC)
    ada = gym.join("sub_ada")
    tell(gym.session, paid("in_1", "sub_ada", at=now), now=now)
    redeem(gym.session, member_id=ada.member_id, item_id=gym.spin.id, quantity=3, key="k", by=BY, now=now)
    gym.session.commit()
    assert manager.get("/reports").get_json()["data"] == [one.name for one in REPORTS]
    for report in REPORTS:
        for row in manager.get(f"/reports/{report.name}").get_json()["data"]:
            assert row.keys() == report.columns.keys()
    [spin] = manager.get("/reports/outstanding", item_id=gym.spin.id).get_json()["data"]
    assert (spin["item"], spin["sessions"], spin["value_minor"], spin["currency"]) == ("Spin", 5, 4500, "USD")
    assert '"Downtown","1","Spin","5",' in manager.get("/reports/outstanding.csv").text
    for name, wrong in (
        ("outstanding", {"days": 3}), ("expiring", {"days": 0}), ("outstanding", {"day": "2999-01-01"}),
        ("months", {"item_id": 99}),
    ):  # fmt: skip
        assert manager.get(f"/reports/{name}", **wrong).status_code == 422
    assert manager.get("/reports/none").status_code == 404
