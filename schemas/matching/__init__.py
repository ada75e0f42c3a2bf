"""Which profile versions an event belongs to: one by one, by columns, and whether two can count one event."""
