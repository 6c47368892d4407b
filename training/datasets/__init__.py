"""Data sets in their official layouts, and the prepared arrays that training reads."""
