"""What the WSGI server loads: `console.wsgi:app`. What does not allow a start ends it with a message."""

import sys

from console.alerts.channels import channels
from console.alerts.watcher import Watcher
from console.web.app import create_app
from models.database.engine import check_reachable
from models.errors import SppError
from runtime import settings, telemetry

try:
    loaded = settings.load(settings.DatabaseRole.CONSOLE)
    check_reachable(loaded.database_url)
    app = create_app(loaded)
    telemetry.start(loaded, "console")
    Watcher(loaded, channels(loaded)).start()
except (settings.SettingsError, SppError) as error:
    sys.exit(f"The console cannot start.\n{error}")
