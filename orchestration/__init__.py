"""The second composition root: Dagster assets around the plain functions of `training`."""
