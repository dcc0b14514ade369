"""The rules of models/ with their statements interleaved: `python -m bench.interleaving [N] [--seed S]`.

Two to four sessions on one PostgreSQL, of which one at a time may ask its next statement.
"""
