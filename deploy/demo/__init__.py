"""The demo: a year of real flights, from producers to invoices. ``season.py`` reads top to bottom."""
