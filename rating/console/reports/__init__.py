"""Reports over a namespace: the view is its address, and its numbers are the API's."""
