"""How much each singular value matters: what decides which of them are pruned.

A scoring of one's own takes three steps. Write a class with the four methods of `Scoring`; its
constructor takes a `ScoringContext`:

    class Gradient:
        def __init__(self, context):
            self.sums = torch.zeros(sum(len(m.values) for m in context.matrices))
        def update(self, matrices):
            self.sums += torch.cat([m.values.grad.abs() for m in matrices])
        def scores(self):
            return self.sums
        def state(self):
            return {"sums": self.sums}
        def load_state(self, state):
            self.sums.copy_(state["sums"])

give it a name in the package that holds it:

    [project.entry-points."lora2_search.scoring"]
    gradient = "my_package:Gradient"

and write that name where a built-in one would stand: `scoring: gradient` in YAML, or
`Lora2Config(scoring="gradient")`. It is loaded when a run that prunes asks for it.
"""

from .importance import ImportanceScoring
from .interface import Scoring, ScoringContext, ScoringError
from .magnitude import MagnitudeScoring
from .priority import RandomScoring
from .registry import new_scoring
from .thinned import ThinnedScoring

__all__ = [
    "ImportanceScoring",
    "MagnitudeScoring",
    "RandomScoring",
    "Scoring",
    "ScoringContext",
    "ScoringError",
    "ThinnedScoring",
    "new_scoring",
]
