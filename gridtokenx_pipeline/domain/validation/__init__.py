"""The checks of accepted readings in their context: what came before and after, neighbours, like days, registers, the sun.

They are checks 2 to 5 and 8 to 14 of the validation rules for 15-second data (after the California VEE rules, the Ontario IESO's
and Oracle's rule list), and check 6 over an hour. Each has a function in a module of its family; thresholds are the meter's own.
"""

from .evidence import LOOKBACK, Evidence, Site
from .examine import examine
from .hours import meter_hours

__all__ = ["LOOKBACK", "Evidence", "Site", "examine", "meter_hours"]
