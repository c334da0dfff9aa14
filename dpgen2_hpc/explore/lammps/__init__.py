"""LAMMPS: what it reads, what it writes, and what that means."""
