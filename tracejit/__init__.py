"""tracejit: trace NumPy-style training steps and run them as one native program."""
