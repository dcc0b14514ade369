"""The engine, the base that all tables share, batch parameters, database roles and the migrations.

Imports errors alone. Main verb: `engine.make_engine`.
"""
