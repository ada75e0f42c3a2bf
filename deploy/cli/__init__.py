"""The command line, ``weir``: one file a group of commands; ``main.py`` is the table of contents."""
