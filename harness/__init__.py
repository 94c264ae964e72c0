"""symbench's harness: registry, suites, training, records, Ray execution, MLflow tracking, tables and reports."""
