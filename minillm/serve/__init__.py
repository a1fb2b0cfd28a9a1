"""Trained models behind a page and an OpenAI-compatible API: many clients, one batched loop per model."""
