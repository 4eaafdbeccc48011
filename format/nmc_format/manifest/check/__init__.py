"""What a manifest may say (clauses 5.3.3 to 5.7, 9 and 10): each module yields findings."""
