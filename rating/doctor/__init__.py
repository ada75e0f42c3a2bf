"""Why an account's usage of a metric is what it is: ``examine.py`` asks, ``diagnosis.py`` is what it makes of the
answers."""
