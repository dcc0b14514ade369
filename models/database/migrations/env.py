"""Alembic's entry: migrates over the connection that `upgrade` hands in."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transaction_per_migration=False)
with context.begin_transaction():
    context.execute("SET LOCAL lock_timeout = 0")
    context.execute("SELECT pg_advisory_xact_lock(hashtext('spp migrations'))")
    # From here on, other queries queue behind ours while it waits for a long transaction. A delivery's INSERT waits for
    # up to 5 s, so it is not refused.
    context.execute("SET LOCAL lock_timeout = '2s'")
    context.script.get_revision("0014").module.carry_over(context.get_bind())
    context.run_migrations()
