"""A trained model behind an OpenAI-compatible API: many clients, one batched loop."""
