"""Run by Alembic: where and how the migrations run."""

from alembic import context

from kugetsu.storage.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
context.run_migrations()
