"""Alarms for people: the watcher that checks the rules, and the channels that carry the news.

Imports `models` and `runtime`. Main verb: `watcher.Watcher.look`.
"""
