"""Roll-up: aggregates a checkpoint's slice of usage_records into usage_windows."""
