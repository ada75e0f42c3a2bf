"""How the cost of an operation grows with what it is not about: each module has one table of ``__main__``."""
