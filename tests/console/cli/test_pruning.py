"""spp prune: counts, prunes, and stands in the action log."""

import pytest

from runtime.settings import Settings, SettingsError, load
from tests.console.conftest import Spp
from tests.worker.scene import Make, arrive, paid_now, rows, run, value
from worker.crediting import Crediting

LEFT = "SELECT count(*) FROM webhook_events WHERE pruned_at IS NULL"


def test_prune_gives_up_what_a_dry_run_counts(
    gym: Spp, make: Make, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrive(make, paid_now("in_1", "sub_ann"), paid_now("in_2", "sub_ann"))
    Crediting(settings, make).drain()
    run(make, "UPDATE webhook_events SET received_at = now() - interval '61 days'")
    assert gym("prune").out == "The bodies of 0 events older than 400 days are deleted.\n"
    monkeypatch.setenv("SPP_KEEP_BODIES_DAYS", "60")
    assert gym("prune", "--dry-run").out == "The bodies of 2 events older than 60 days would be deleted.\n"
    assert value(make, LEFT) == 2
    assert gym("prune", "--json").json == {"events": 2, "keep_days": 60, "dry_run": False}
    assert value(make, LEFT) == 0
    assert rows(make, "SELECT subject FROM actions WHERE verb = 'prune' ORDER BY id") == [
        ("0 events older than 400 days",),
        ("2 events older than 60 days",),
    ]
    number = value(make, "SELECT min(id) FROM webhook_events")
    assert "Its body was pruned." in gym("events", "show", str(number)).out


def test_bodies_are_kept_for_longer_than_processors_repeat_them(
    installed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPP_KEEP_BODIES_DAYS", "59")
    with pytest.raises(SettingsError, match="SPP_KEEP_BODIES_DAYS: Input should be greater than or equal to 60"):
        load()
