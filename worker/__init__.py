"""The Celery app: turns due events into sessions, writes expiries down, and runs the nightly jobs.

Imports `webhooks.processors`, `models` and `runtime`. Main verb: `crediting.Crediting.drain`.
"""
