"""What is kept and told of a roll: the journal, the status, the history, and the one place that writes files."""
