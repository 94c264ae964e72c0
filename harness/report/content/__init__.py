"""What several sections of the report share: rows that may be compared, control metrics, published numbers."""
