"""Tables for people and for scripts, from the record and the results; never from a task's folder."""
