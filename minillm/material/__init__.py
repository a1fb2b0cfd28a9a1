"""What users bring: raw text, records of dialogues and preferences; reading and cleaning it."""
