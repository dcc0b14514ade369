"""events, replay, discard, pause, resume: what operators do about webhook events in a terminal."""

import pytest

from tests.console.conftest import Spp
from tests.worker.scene import Make, arrive, paid_now, run, states, value


def number(make: Make, event_id: str, which: str = "conflicts_with IS NULL") -> int:
    return int(value(make, f"SELECT id FROM webhook_events WHERE event_id = :name AND {which}", name=event_id))


def dead(make: Make, *payments: str) -> None:
    arrive(make, *(paid_now(payment, "sub_cem") for payment in payments))
    run(make, "UPDATE webhook_events SET state = 'dead', error = 'boom', attempts = 15 WHERE state = 'pending'")


def test_events_tell_the_newest_first_with_their_state(worked: Spp) -> None:
    told = worked("events", "--json").json
    assert [(row["event_id"], row["state"], row["attempts"]) for row in told] == [
        ("evt_in_2", "ignored", 1),
        ("evt_in_1", "quarantined", 0),
        ("evt_in_1", "processed", 1),
    ]
    assert "zero amount" in told[0]["why"]
    assert "the same id with other content" in told[1]["why"]
    shown = worked("events").out
    assert [line.split()[2] for line in shown.splitlines()[2:]] == ["evt_in_2", "evt_in_1", "evt_in_1"]


def test_events_can_be_narrowed(worked: Spp) -> None:
    assert [row["event_id"] for row in worked("events", "--state", "ignored", "--json").json] == ["evt_in_2"]
    assert [row["event_id"] for row in worked("events", "--limit", "1", "--json").json] == ["evt_in_2"]
    assert worked("events", "--endpoint", "standard", "--json").json == []
    assert worked("events", "--endpoint", "standard").out == "  (none)\n"
    assert [row["event_id"] for row in worked("events", "--payment", "in_1", "--json").json] == ["evt_in_1"]
    assert [row["event_id"] for row in worked("events", "--member", "ANN@example.com", "--json").json] == ["evt_in_1"]
    assert [row["event_id"] for row in worked("events", "--body", "sub_ben", "--json").json] == ["evt_in_2"]
    assert worked("events", "--since", "2999-01-01", "--json").json == []
    assert worked("events", "--member", "nobody@example.com").code == 1


def test_one_that_waits_for_its_processor_says_since_when_and_can_be_discarded_by_its_id(
    worked: Spp, make: Make
) -> None:
    arrive(make, paid_now("in_3", "sub_cem"))
    waiting = number(make, "evt_in_3")
    run(
        make,
        "UPDATE webhook_events SET thin = true, waits_since = '2026-03-01 12:00Z', next_attempt_at = '2999-01-01Z',"
        " error = 'waits for paypal: it is pending' WHERE state = 'pending'",
    )
    assert (
        "waits since 2026-03-01 06:00 CST, asked again 2998-12-31 18:00 CST"
        in worked("events", "show", str(waiting)).out
    )
    [told] = worked("events", "--state", "pending", "--error", "waits for", "--json").json
    assert (told["id"], told["waits_since"]) == (waiting, "2026-03-01T12:00:00+00:00")
    assert worked("discard", str(waiting), "--reason", "it never will be").code == 0
    assert value(make, "SELECT state FROM webhook_events WHERE id = :id", id=waiting) == "ignored"


def test_one_event_is_shown_with_what_it_told_and_did(worked: Spp, make: Make) -> None:
    first = number(make, "evt_in_1")
    told = worked("events", "show", str(first), "--json").json
    assert [(fact["kind"], fact["payment"], fact["member"]) for fact in told["facts"]] == [
        ("paid", "in_1", "Ann Archer")
    ]
    assert {(entry["kind"], entry["quantity"]) for entry in told["entries"]} == {("grant", 4), ("grant", 8)}
    assert '"sub_ann"' in told["body"]
    shown = worked("events", "show", str(first)).out
    for said in ("evt_in_1", "processed", "Payment facts", "$89.00", "Ann Archer", "Ledger entries", '"sub_ann"'):
        assert said in shown
    assert worked("events", "show", "999999").code == 1


class TestReplay:
    def test_events_by_their_ids_all_or_none(self, worked: Spp, make: Make) -> None:
        first, conflict = number(make, "evt_in_1"), number(make, "evt_in_1", "conflicts_with IS NOT NULL")
        refused = worked("replay", str(first), str(conflict))
        assert (refused.code, states(make)["pending"]) == (1, 0)
        assert f"it contradicts event {first}" in refused.err
        assert "there is no such event" in worked("replay", "999999").err
        assert worked("replay", str(first), "--json").json == {"events": [first]}
        assert worked("replay", str(first)).out == f"Event {first} is due again.\n"
        assert states(make)["pending"] == 1

    def test_all_that_match_after_asking_for_the_exact_number(self, worked: Spp, make: Make) -> None:
        dead(make, "in_3", "in_4", "in_5")
        assert worked("replay", "--state", "dead", "--dry-run").out == "3 events match.\n"
        assert worked("replay", "--state", "dead", "--endpoint", "square", "--json", "--yes").json == {"events": 0}
        assert states(make)["dead"] == 3
        done = worked("replay", "--state", "dead", "--since", "2020-01-01", "--reason", "mended", "--yes", "--json")
        assert done.json["events"] == 3
        assert (states(make)["dead"], states(make)["pending"]) == (0, 3)
        assert value(make, "SELECT reason FROM actions WHERE verb = 'replay all'") == "mended"

    def test_many_are_named_in_one_sentence(self, worked: Spp, make: Make) -> None:
        dead(make, "in_3", "in_4", "in_5")
        one, two, three = (number(make, f"evt_in_{place}") for place in (3, 4, 5))
        assert worked("replay", str(one), str(two)).out == f"Events {one} and {two} are due again.\n"
        assert worked("replay", str(three), str(one), str(two)).out == (
            f"Events {one}, {two} and {three} are due again.\n"
        )
        assert worked("replay", "--event-id", "evt_in_3", "--yes").out == (
            "1 event is due again.\nNow: 0 credited, 1 waiting, 0 failed again. `spp events --act 1` shows them.\n"
        )
        assert worked("replay", "--event-id", "evt_in_3", "--dry-run").out == "1 event matches.\n"

    def test_nothing_is_done_without_a_yes(self, worked: Spp, make: Make) -> None:
        dead(make, "in_3")
        asked = worked("replay", "--state", "dead")
        assert asked.code != 0
        assert "Replay 1 event?" in asked.err
        assert states(make)["dead"] == 1

    @pytest.mark.parametrize("words", [[], ["1", "--state", "dead"], ["1", "--dry-run"], ["--state", "gone"]])
    def test_what_cannot_be_meant_is_wrong_usage(self, gym: Spp, words: list[str]) -> None:
        assert gym("replay", *words).code == 2


class TestDiscard:
    def test_dead_letters_with_a_reason(self, worked: Spp, make: Make) -> None:
        dead(make, "in_3", "in_4")
        one = number(make, "evt_in_3")
        assert worked("discard", str(one)).code == 2
        assert worked("discard", str(one), "--reason", "a test").out == f"Event {one} is discarded.\n"
        assert worked("discard", "--state", "dead", "--reason", "all tests", "--yes").out == (
            "1 event is discarded.\nNow: 1 discarded. `spp events --act 1` shows them.\n"
        )
        assert states(make)["dead"] == 0

    def test_only_what_is_in_trouble(self, worked: Spp, make: Make) -> None:
        refused = worked("discard", str(number(make, "evt_in_1")), "--reason", "why")
        assert (refused.code, "it is processed" in refused.err) == (1, True)
        assert worked("discard", "--state", "processed", "--reason", "why", "--yes").out == "0 events match.\n"


def test_an_endpoint_is_paused_and_resumed_with_reasons(gym: Spp, make: Make) -> None:
    assert gym("pause", "stripe").code == 2
    assert "stripe is paused." in gym("pause", "stripe", "--reason", "wrong terms").out
    assert "stripe is paused already." in gym("pause", "stripe", "--reason", "again").err
    [pause] = gym("pauses", "--json").json
    assert (pause["endpoint"], pause["reason"]) == ("stripe", "wrong terms")
    assert "wrong terms" in gym("pauses").out
    assert gym("pause", "unknown", "--reason", "why").code == 1
    assert "stripe is resumed." in gym("resume", "stripe", "--reason", "right again").out
    assert "stripe is not paused." in gym("resume", "stripe", "--reason", "again").err
    assert gym("pauses").out == "  (none)\n"
    verbs = "SELECT string_agg(verb || ': ' || reason, ', ' ORDER BY id) FROM actions WHERE subject = 'endpoint stripe'"
    assert value(make, verbs) == "pause: wrong terms, resume: right again"


def test_errors_are_listed_by_their_kind_and_acted_on_by_group(worked: Spp, make: Make) -> None:
    dead(make, "in_3", "in_4")
    run(make, "UPDATE webhook_events SET state = 'dead', error = 'boom ' || id WHERE state = 'dead'")
    [group] = worked("errors", "--state", "dead", "--json").json
    assert (group["events"], group["type"], group["endpoints"]) == (2, "invoice.paid", ["stripe"])
    assert len(worked("events", "--group", group["group"], "--json").json) == 2
    done = worked("replay", "--group", group["group"], "--state", "dead", "--yes", "--json").json
    assert (done["events"], done["outcome"]["pending"]) == (2, 2)
    [other] = worked("errors", "--json").json
    [seen] = worked("errors", "--foresee", other["group"], "--json").json
    assert (seen["events"], seen["example"], seen["outcome"]) == (1, other["example"], "same")
    done = worked("quarantine", "release", "--group", other["group"], "--reason", "both are right", "--yes")
    assert done.out.startswith("1 event is due again.")
    assert "both are right" in worked("events", "show", str(other["example"])).out
