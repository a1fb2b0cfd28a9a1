"""Weights of other frameworks: what their tensors are called."""
