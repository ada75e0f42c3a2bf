"""How large an installation has to be: a model over figures that were measured. Pure."""
