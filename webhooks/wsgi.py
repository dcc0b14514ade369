"""What the WSGI server loads: `webhooks.wsgi:app`. Settings that do not allow a start end it with a message."""

import sys

import settings
from webhooks.app import create_app

try:
    app = create_app(settings.load())
except settings.SettingsError as error:
    sys.exit(f"The webhook server cannot start.\n{error}")
