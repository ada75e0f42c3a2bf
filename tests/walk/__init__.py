"""How long one thing's road through the code is: `python -m tests.walk [invoice|key] [--checkout FOLDER] [--stays]`.

A reader who wants to know what becomes of an event's idempotency key, or how an invoice comes about, opens one module
after another. The real code takes a trip with one event (HTTP body to ClickHouse columns) or one invoice (close,
publication, numbers, copy, webhook message), with stand-ins for Kafka and ClickHouse in memory, and is traced:

- **on the road** is a function whose arguments, ``self`` or result hold the thing: the key or the event's identity; the
  invoice's id, or a due, a charge, a need or a line of it. It is read once, at the first such call.
- **stay**: a stretch of functions of one module, read one after another; **room**: a module; **return**: a stay in a
  room that was read before (stays = rooms + returns).
- **climb**: a stay in a module that imports, by whatever it imports, the one just left.
- **turns**: stays, where each return to a caller that has statements left to read counts as one, too.
- **names**: parameters, variables and classes under which the thing or a part of it goes in the functions read.

Left out: the catalog, settings, instants and texts, encoding and decoding; the checklist and waits, which only look; a
function of one statement that leads to no other room, which is read where it is called.

The trips know today's names of modules and those of commit 85cd642, with which the figures in tests/README.md compare.
Two threads meter an event, so that its road may be one stay longer or shorter from run to run.
"""
