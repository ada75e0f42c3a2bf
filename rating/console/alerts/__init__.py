"""Pages of alerts and anomalies."""
