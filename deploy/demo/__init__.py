"""The demo: a year of real flights, from producers to invoices. ``run.py`` reads top to bottom."""
