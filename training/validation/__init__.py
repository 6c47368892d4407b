"""Whether a data set is fit to train on: checked by Great Expectations before anything is made of it."""
