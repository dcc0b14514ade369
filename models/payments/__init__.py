"""Payment facts, payments, and what a payment entitles a member to.

Imports the ledger and what is below. Main verb: `settlement.settle`.
"""
