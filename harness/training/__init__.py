"""One training loop in plain torch: no Ray, no MLflow, no Polars."""
