"""The ECG engine: values in, findings out. No framework, no SQL, no sockets."""
