"""HL7 v2 without I/O: messages, waveforms, acknowledgements and results."""
