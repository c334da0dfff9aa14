"""The queue: each attempt at a task is run exactly once, whatever dies. dpdispatcher is imported here alone."""
