"""The schema and the rules: what is owed, what is held, what is kept.

Imports nothing else of ours but `runtime`. Functions take a session and never commit; the edge that called them (a
request, a task, a command) does. Main verb: `payments.settlement.settle`.
"""
