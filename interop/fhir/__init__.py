"""The FHIR R4 door: a facade that takes ECG Observations in and gives DiagnosticReports and ServiceRequests out."""
