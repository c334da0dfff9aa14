"""The commands: parse and print, decide nothing."""
