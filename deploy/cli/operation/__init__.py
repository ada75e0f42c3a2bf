"""Commands of operation: the local stack, its log, generations, copies, replay, verification."""
