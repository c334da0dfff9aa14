"""Sources of starting configurations."""
