"""DP-GEN concurrent learning on a batch queue: train, explore, select, fp, collect, repeat."""

__version__ = "0.1.0"
