"""What somebody should look at before a run bills."""
