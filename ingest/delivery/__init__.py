"""From accepted events to broker delivery reports."""
