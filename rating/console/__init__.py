"""The console: server-rendered pages at `/` over the same queries as the API. No JavaScript, nothing loaded from
elsewhere."""
