"""Event formats of other systems (CloudEvents, Lago), translated to native events."""
