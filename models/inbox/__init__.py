"""Webhook events: stored before they are answered, claimed, finished, failed, replayed, searched, pruned.

Imports payments and what is below. Main verb: `storing.store`.
"""
