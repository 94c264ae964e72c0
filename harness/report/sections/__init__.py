"""The sections of the report, one module each. A section imports no other section; shared parts are in content."""
