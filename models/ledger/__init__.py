"""Grants of sessions and the entries that move them; nothing else writes entries.

Imports members and what is below. Main verb: `entries.post`.
"""
