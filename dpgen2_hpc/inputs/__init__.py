"""The user's files: read with places, walked along a tree of arguments, translated from every dialect."""
