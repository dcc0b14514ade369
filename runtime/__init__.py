"""What every process needs: settings, logs, telemetry, the broker, outages in the log.

Imports nothing else of ours. Main verb: `settings.load`.
"""
