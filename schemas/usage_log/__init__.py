"""The log usage.events: whether it is the one that was metered, its generations, what of it was given up."""
