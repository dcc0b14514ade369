"""The nightly audit: every projection against its entries, and the hash chain over the entries.

Imports everything in `models` but the schema. Main verb: `checks.audit`.
"""
