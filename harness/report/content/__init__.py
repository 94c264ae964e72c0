"""What sections of the report are built from: rows that may be compared, control metrics, published numbers."""
