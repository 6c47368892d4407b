"""Pages for people, without script: rendered here, read in a browser, changed by nobody."""
