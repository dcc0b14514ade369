"""The Celery app: turns due events into sessions, and lapses into entries."""
