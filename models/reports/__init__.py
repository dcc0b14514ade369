"""The owner's reports: sessions outstanding, by month, expiring, by hour, and members with nothing left. Read only.

Imports operations, statements and what is below. Main verb: `known.find(name).rows`.
"""
