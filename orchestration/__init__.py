"""The second composition root: Dagster assets around the plain functions of `training`. Nothing is defined here yet."""
