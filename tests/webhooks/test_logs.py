"""What a server process writes: one line of JSON for each delivery, and nothing of what was in it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from local.servers import Postgres
from models.database.migrations import upgrade
from runtime.settings import Settings
from tests.webhooks.deliveries import changed
from tests.webhooks.site import new_event, signed

SECRET = "whsec_never_to_be_seen"
PASSWORD = "pass_never_to_be_seen"
PRIVATE = ("never_to_be_seen", "Ångström", "cus_Gym0001", "in_Gym0001")
POST = """
import json, sys, time
from runtime import settings
from webhooks.app import create_app
app = create_app(settings.load())
for line in sys.stdin:
    path, body, headers = json.loads(line)
    print(app.test_client().post(path, data=body, headers=headers).status_code, flush=True)
time.sleep(0.2)  # for what its threads have to say
"""


def server(database_url: str, broker_url: str, **streams: int) -> subprocess.Popen[str]:
    """A process that takes deliveries from its input and says how it answered."""
    ours = {"SPP_ENDPOINTS": "stripe=stripe:test", "SPP_SECRET_STRIPE": SECRET, "SPP_LOG_LEVEL": "debug"}
    return subprocess.Popen(
        [sys.executable, "-c", POST],
        env=os.environ | ours | {"DATABASE_URL": database_url, "BROKER_URL": broker_url},
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        text=True,
        **streams,
    )


def lines_after(
    deliveries: list[tuple[str, bytes, dict[str, str]]], database_url: str, broker_url: str, wait_for: str = "delivery"
) -> list[Any]:
    """What a process with these deliveries writes, line by line, with nothing secret in it.

    It gets the first of them, and the others when it has told of `wait_for`.
    """
    first, *others = (json.dumps((path, body.decode(), headers)) + "\n" for path, body, headers in deliveries)
    with server(database_url, broker_url, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(first)
        process.stdin.flush()
        told = []
        for line in process.stderr:
            told.append(line)
            if json.loads(line)["event"] == wait_for:
                break
        process.stdin.write("".join(others))
        process.stdin.close()
        told += process.stderr
    for path, body, headers in deliveries:
        for private in (*PRIVATE, body.decode(), *signatures(headers)):
            assert private not in "".join(told), path
    assert process.returncode == 0
    return [json.loads(line) for line in told]


def signatures(headers: dict[str, str]) -> list[str]:
    return [value.rpartition("v1=")[2] for value in headers.values() if "v1=" in value]


def test_each_delivery_has_its_line(settings: Settings) -> None:
    event_id, body = new_event()
    other = changed(body, data__object__amount_paid=1)
    no_id = changed(body, id=None)
    key = SECRET.encode()
    deliveries = [
        ("/webhooks/stripe", body, signed(body, key)),
        ("/webhooks/stripe", body, signed(body, key)),
        ("/webhooks/stripe", other, signed(other, key)),
        ("/webhooks/stripe", body, signed(body, b"whsec_other")),
        ("/webhooks/stripe", body, signed(body, key) | {"Content-Encoding": "gzip"}),
        ("/webhooks/stripe", no_id, signed(no_id, key)),
    ]
    lines = [
        line
        for line in lines_after(deliveries, settings.database_url, settings.broker_url)
        if line["event"] == "delivery"
    ]
    assert [(line["outcome"], line["status"], line["events"]) for line in lines[:5]] == [
        ("new", 200, [event_id]),
        ("unfinished_duplicate", 200, [event_id]),
        ("conflict", 200, [event_id]),
        ("bad_signature", 400, []),
        ("encoding", 415, []),
    ]
    assert (lines[5]["outcome"], lines[5]["events"][0][:7]) == ("new", "sha256:")
    assert len(lines) == len(deliveries)
    for line in lines:
        assert (line["endpoint"], line["level"]) == ("stripe", "info")
        assert line["duration_ms"] >= 0
        assert line["timestamp"].endswith("Z")
    assert len({line["delivery"] for line in lines}) == len(deliveries)


def test_trouble_is_told_without_what_it_was_about(settings: Settings, postgres: Postgres) -> None:
    _, body = new_event()
    deliveries = [("/webhooks/stripe", body, signed(body, SECRET.encode()))]
    postgres.create("not_migrated")
    try:
        no_table = lines_after(deliveries, postgres.url("not_migrated"), f"redis://:{PASSWORD}@127.0.0.1:1/0")
    finally:
        postgres.drop("not_migrated")
    nowhere = lines_after(deliveries, f"postgresql://spp:{PASSWORD}@127.0.0.1:1/spp", settings.broker_url)
    for lines, event in ((no_table, "intake_failing"), (nowhere, "database_failing")):
        assert [line["outcome"] for line in lines if line["event"] == "delivery"] == ["unavailable"]
        (failure,) = [line for line in lines if line["event"] == event]
        assert failure["level"] == "error"
        assert failure["error"]
    assert "webhook_events" in no_table[0]["error"]


def test_a_broker_that_is_down_is_told_once(settings: Settings) -> None:
    bodies = [new_event()[1] for _ in range(5)]
    deliveries = [("/webhooks/stripe", body, signed(body, SECRET.encode())) for body in bodies]
    lines = lines_after(deliveries, settings.database_url, f"redis://:{PASSWORD}@127.0.0.1:1/0", "broker_failing")
    assert [line["event"] for line in lines if line["event"] != "delivery"] == ["broker_failing"]


def test_deliveries_are_answered_where_nobody_reads_the_log(settings: Settings, postgres: Postgres) -> None:
    nobody_reads, log = os.pipe()
    os.close(nobody_reads)
    postgres.create("migrated_later")
    try:
        url = postgres.url("migrated_later")
        with server(url, settings.broker_url, stdout=subprocess.PIPE, stderr=log) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            answers = []
            for _ in range(2):
                _, body = new_event()
                process.stdin.write(
                    json.dumps(("/webhooks/stripe", body.decode(), signed(body, SECRET.encode()))) + "\n"
                )
                process.stdin.flush()
                answers.append(process.stdout.readline().strip())
                upgrade(url)
            process.stdin.close()
        assert answers == ["503", "200"]
    finally:
        os.close(log)
        postgres.drop("migrated_later")
