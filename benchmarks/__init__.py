"""Training steps measured against NumPy, torch and JAX in one run: `python -m benchmarks`."""
