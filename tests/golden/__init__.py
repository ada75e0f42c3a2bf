"""What must not change by itself: ids that stand on topics and in ClickHouse for ever, and the documents that clients are made from.

``ids.json`` holds ids of input that existed: a formula that gives another id for it would bill a period twice. It is never written anew; ids of new kinds are
added. ``openapi_gateway.json`` and ``openapi_rating.json`` are the services' documents, compared whole: who changes one on purpose writes it with
``python -m tests.golden`` and looks at the difference.
"""
