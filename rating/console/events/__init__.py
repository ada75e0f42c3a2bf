"""Events as they came: which counted for what, and which were refused."""
