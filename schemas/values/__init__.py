"""Values and their exact forms: instants, local time, currencies, quantities, JSON text."""
