"""Estimates of what was not measured, or what the register corrects, after the California VEE rules (DASMMD).

The order: (a) where registers stand on both sides of a gap, its energy is their difference, exactly, and only its shape is
guessed; (b) a gap of up to vee.linear_s without registers is a line between good end points; (c) a longer one is the mean of
like days; (d) otherwise nothing is estimated. A reading whose interval value disagrees with its registers gets their
difference.
"""

from .estimate import LOOKAHEAD, LOOKBACK, estimate

__all__ = ["LOOKAHEAD", "LOOKBACK", "estimate"]
