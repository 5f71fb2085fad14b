"""The gate: may a tuned model take the place of its parent?"""
