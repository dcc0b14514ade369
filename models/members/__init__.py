"""People and what they bought: members, memberships with their pinned terms, billing references.

Imports the catalogue and staff. Main verb: `signing_up.sign_up`.
"""
