"""The world: tables of true facts, and the texts, dialogues, preferences and exam made from them."""
