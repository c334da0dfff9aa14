"""Matter and how it is stored: frames, labels, datasets. No iteration and no queue."""
