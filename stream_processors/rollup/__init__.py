"""From a checkpoint's slice of records to windows."""
