"""What monitoring has found, to be read by programs and people. The reports are made elsewhere."""
