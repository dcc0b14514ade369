"""The module that the WSGI server loads: `webhooks.wsgi:app`. Wrong settings end the start with a message."""

import sys

from models.database.engine import check_reachable
from models.errors import SppError
from runtime import settings, telemetry
from webhooks.app import create_app

try:
    loaded = settings.load(settings.DatabaseRole.WEB)
    check_reachable(loaded.database_url)
    app = create_app(loaded)
    telemetry.start(loaded, "webhooks")
except (settings.SettingsError, SppError) as error:
    sys.exit(f"The webhook server cannot start.\n{error}")
