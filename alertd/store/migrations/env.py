"""Runs the migrations over the connection that `alertd.store.migrate` hands in."""

from alembic import context

from alertd.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    user_module_prefix="",
)
context.run_migrations()
