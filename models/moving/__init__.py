"""Moving in: files of people and of opening balances, judged row by row, then written all or nothing.

May import everything below in models; nothing below imports it. Main verbs: `imports.upload`, `imports.write`.
"""
