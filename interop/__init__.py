"""The doors and the serving process: FHIR, HL7v2 over MLLP, REST, and the one line behind them."""
