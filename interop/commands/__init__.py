"""The commands of `ecg-interop`, one module for each thing they act on."""
