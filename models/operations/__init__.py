"""How it goes: figures, alarms, signs of life, jobs.

Imports the inbox and what is below, and not statements. Main verb: `alarms.fired`.
"""
