"""Measuring models: the exam, losses, how far tuning moved the parameters."""
