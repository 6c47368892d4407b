"""What the pipeline makes, in groups: data sets, features, training, promotion, monitoring."""
