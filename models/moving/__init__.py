"""Moving in and out: files that are judged row by row, then written all or nothing; and exports of all there is.

May import everything below in models; nothing below imports it. Main verbs: `imports.write`, `exporting.pieces`.
"""
