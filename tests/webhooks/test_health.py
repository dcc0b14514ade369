import pytest
from werkzeug.test import TestResponse

from local.servers import Postgres
from runtime.settings import DatabaseRole, Settings
from tests.database_roles import as_role
from tests.webhooks.site import Site
from webhooks.app import create_app


def get(settings: Settings, path: str) -> TestResponse:
    return create_app(as_role(settings, DatabaseRole.WEB)).test_client().get(path)


def test_ready(site: Site) -> None:
    answer = site.app.test_client().get("/readyz")
    assert (answer.status_code, answer.data) == (200, b"ready")


@pytest.mark.parametrize("name", ["empty", "older"])
def test_not_ready_on_another_schema(settings: Settings, postgres: Postgres, template: str, name: str) -> None:
    postgres.create(name, template if name == "older" else None)
    try:
        older = Site(settings.model_copy(update={"database_url": postgres.url(name)}))
        if name == "older":
            older.rows("UPDATE alembic_version SET version_num = '0000' RETURNING 1")
        answer = older.app.test_client().get("/readyz")
        older.close()
    finally:
        postgres.drop(name)
    assert answer.status_code == 503
    assert b"spp migrate" in answer.data


def test_not_ready_without_a_database(settings: Settings) -> None:
    nowhere = settings.model_copy(update={"database_url": "postgresql://spp:pass_database@/spp?host=/nowhere"})
    answer = get(nowhere, "/readyz")
    assert answer.status_code == 503
    assert b"not reachable" in answer.data
    assert b"pass_database" not in answer.data
    assert get(nowhere, "/healthz").status_code == 200


def test_alive(settings: Settings) -> None:
    answer = get(settings, "/healthz")
    assert (answer.status_code, answer.data) == (200, b"alive")
