"""What must not change by itself: ids and records that stand on topics and in ClickHouse for ever, and the documents
that clients are made from.

``ids.json`` holds ids of input that existed: a formula that gives another id for it would bill a period twice. It is
never written anew; ids of new kinds are added. ``openapi_gateway.json`` and ``openapi_rating.json`` are the services'
documents, compared whole: who changes one on purpose writes it with
``python -m tests.golden`` and looks at the difference.

``year.json`` holds size and digest of every record that the demo's year puts on every topic (a part of the flights,
each entry, bill, checkpoint and refusal), and one record of each kind in full. What a topic holds is read for ever:
bytes that change on purpose need a schema version, and then a look here.
"""
