"""The benchmark: our training, generation and tokenizer next to those of others, measured in one run."""
