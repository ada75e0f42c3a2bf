"""The one image of all processes: what is installed in it, and how it tells that it is well."""
