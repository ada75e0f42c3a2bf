"""A metric as people look at it: a chart with the period before behind it, a table, a breakdown."""
