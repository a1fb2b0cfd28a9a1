"""The commands of `python -m minillm`, each a dataclass whose fields are its options."""
