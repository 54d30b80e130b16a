"""What if: past energy cleared by other mechanisms or at other prices, beside what is in force. Nothing is written."""

from .compare import Comparison, NothingToCompare, Prices, compare
from .outcome import Outcome, outcome_of, summed

__all__ = ["Comparison", "NothingToCompare", "Outcome", "Prices", "compare", "outcome_of", "summed"]
