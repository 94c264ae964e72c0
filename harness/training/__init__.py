"""Training, validation and scoring of one run in plain torch: no Ray, no MLflow, no Polars."""
