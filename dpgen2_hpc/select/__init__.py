"""The step *select*: the frames that the models doubt."""
