"""What gyms sell: clubs, items, offers and payment terms, and the rules for building them.

Imports the database and wording. Main verb: `offers.create`.
"""
