"""usage.reservations: its records (``reservation_record``), and which are valid (``valid_reservations``). Pure."""
