"""Who works here: accounts, logins, API tokens, and the action log of what they did.

Imports the database and wording. Main verb: `actions.log`.
"""
