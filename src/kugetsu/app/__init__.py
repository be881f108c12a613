"""The composition root: the only place that joins shadows with models, tools, workspaces and storage."""
