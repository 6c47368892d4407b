"""What live results say of the model: bias and performance, from rows of the store. It needs what serving has: NumPy
and SciPy. `run` is the way in."""
