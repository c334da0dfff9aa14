"""The step *train*, and the ways of training a model."""
