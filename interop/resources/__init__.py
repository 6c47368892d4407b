"""FHIR R4 resources as values: Observation in, findings out. Pure: bytes and frozen values, no I/O."""
