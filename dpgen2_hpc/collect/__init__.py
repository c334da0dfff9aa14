"""The step *collect*: labels become the dataset's next increment."""
