"""Who is at the console: the login, its cookie, and what a page knows of its visitor."""
