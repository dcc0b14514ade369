"""Payment facts, the payments that they are about, and what they entitle a member to.

Imports the ledger and what is below. Main verb: `settlement.settle`.
"""
