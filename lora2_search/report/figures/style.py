"""One palette for every drawing: who sees no colour goes by dash and symbol."""

from __future__ import annotations

# Okabe and Ito's: distinguishable for those who see no red or green, and on dark paper too.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a8f98", "#b58900")

DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")

SYMBOLS = ("circle", "square", "diamond", "cross", "x", "triangle-up")

GREY = COLOURS[6]
