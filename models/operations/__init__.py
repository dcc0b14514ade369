"""Operations: figures, alarms, heartbeats, jobs.

Imports the inbox and what is below, and not statements. Main verb: `alarms.fired`.
"""
