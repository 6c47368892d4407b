"""The REST door: one ECG as a JSON matrix in, diagnoses and recommendations out."""
