"""Who waits for whom. Of a pool one run goes on at a time where the instance says so (`deploy/dagster/local.yaml`)."""

CORES = "cores"  # a training uses all of them; monitoring does not, and must not wait for one that takes hours
