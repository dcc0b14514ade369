"""Alarms told to people: the watcher that looks for them, and the channels that they go by.

Imports `models` and `runtime`. Main verb: `watcher.Watcher.look`.
"""
