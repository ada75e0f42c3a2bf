"""Why an account's usage of a metric is what it is: ``examine.py`` asks ClickHouse, ``fates.py`` tells what became of
an event, ``without_price.py`` what no price covers; ``diagnosis.py`` is the result, ``findings.py`` puts it into
words."""
