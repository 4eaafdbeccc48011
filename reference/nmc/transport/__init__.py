"""How states and packages travel: weights from process to process as messages (clause 15)."""
