"""The step *fp*: first-principles labels, and the gate that decides whether a label is one."""
