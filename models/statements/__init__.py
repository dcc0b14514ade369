"""What a member has and why: balances, entries with their causes, payments, what expires next. Read only.

Imports the inbox and what is below, and not operations. Main verb: `statement.grants`.
"""
