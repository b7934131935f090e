"""What the workloads compute, one file a peer: a loss of (params, x, y) for each model."""
