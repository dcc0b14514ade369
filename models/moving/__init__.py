"""Moving in and out: files of people and balances that are imported, and exports of all there is.

May import all of models but audit. Main verbs: `importing.ask`, `exporting.pieces`.
"""
