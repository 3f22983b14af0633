"""Run by alembic: applies the migrations in the transaction of the connection that it was given."""

from alembic import context

from service.jobs.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table="fitcheck_version",
)
context.run_migrations()
