"""Numbers as rows of text, CSV and LaTeX."""
