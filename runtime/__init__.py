"""What every process needs: settings, logs, telemetry, the broker, outages told once.

Imports nothing else of ours. Main verb: `settings.load`.
"""
