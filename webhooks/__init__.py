"""The public web app: small, fast, nothing but receiving; and one adapter for each payment processor.

Imports `serving`, `models` and `runtime`. Main verb: `intake.Intake.store`.
"""
