"""The sections of the report, one module each. A section imports no other section."""
