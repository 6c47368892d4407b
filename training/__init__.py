"""Training and evaluation: plain functions and one loop."""
