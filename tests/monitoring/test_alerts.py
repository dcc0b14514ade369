"""The files in monitoring/: the rule for all alarms, tried by promtool, and a dashboard of metrics that exist."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from models.operations import alarms
from models.operations.alarms import DATABASE, RULES
from models.operations.figures import EndpointFigures, Figures
from models.operations.gauges import gauges
from models.operations.heartbeats import Process, ProcessKind
from models.operations.jobs import JobLine, JobName
from tests.models.operations.test_alarms import NOW

FOLDER = Path(__file__).parents[2] / "monitoring"
ALERTS = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"][0]["rules"]
OF_PROCESSES = {"process_resident_memory_bytes", "process_open_fds", "database_up", "broker_up", "broker_messages"}
METRIC = re.compile(r"\bspp_([a-z_]+)")

promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not here: it comes with Prometheus (Debian: prometheus)"
)


def told() -> set[str]:
    """Every metric that there can be."""
    one = EndpointFigures(p50_hour_s=1, p99_hour_s=2)
    audited = alarms.Audited(NOW, 0, None)
    jobs = [JobLine(JobName.SWEEP, NOW, 1.0, None, None, NOW, False)]
    figures = Figures(NOW, {"stripe": one}, one, 0, 0, 0)
    now = alarms.Situation(
        figures, [Process("w", ProcessKind.WORKER, 1, NOW, NOW, None, 0, 1, None)], jobs, audited=audited
    )
    return {gauge.name for gauge in gauges(now, ["stripe"])} | OF_PROCESSES


def test_one_rule_is_for_all_alarms_and_leads_to_the_runbook() -> None:
    (rule,) = ALERTS
    assert set(METRIC.findall(rule["expr"])) == {"alarm"}
    assert rule["annotations"]["runbook_url"] == "docs/operations.md#{{ $labels.rule }}"
    assert f'rule="{DATABASE}", severity="{RULES[DATABASE]}"' in rule["expr"]


@promtool
@pytest.mark.parametrize(
    "command", ["check rules alerts.yml", "test rules alerts_test.yml", "check config --syntax-only prometheus.yml"]
)
def test_prometheus_takes_the_files_and_the_alerts_fire_as_they_should(command: str) -> None:
    done = subprocess.run(["promtool", *command.split()], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def dashboard() -> Any:
    return json.loads((FOLDER / "grafana/dashboards/spp.json").read_text())


def test_the_dashboard_shows_metrics_that_there_are() -> None:
    queries = [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", [])]
    shown = {name for query in queries for name in METRIC.findall(query)}
    assert len(queries) > 20
    assert shown <= told()


def test_the_dashboard_can_be_provisioned() -> None:
    board = dashboard()
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for target in panel.get("targets", []):
            assert target["datasource"]["uid"] == "${datasource}"
    provider = yaml.safe_load((FOLDER / "grafana/provisioning/dashboards/spp.yml").read_text())["providers"][0]
    assert provider["options"]["path"] == "/etc/grafana/dashboards"
    source = yaml.safe_load((FOLDER / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"][0]
    datasource = next(one for one in board["templating"]["list"] if one["name"] == "datasource")
    assert datasource["current"]["value"] == source["uid"]


def test_no_two_panels_lie_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
