"""Exploration: who moves the atoms, from where, and under which conditions."""
