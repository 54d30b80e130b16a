"""Letters of three by five dots, for the labels of a picture."""

from __future__ import annotations

import numpy as np

# Five rows of three dots a letter, each row an octal digit: 4 is left, 2 middle, 1 right.
_DOTS = {
    "0": "75557", "1": "26227", "2": "71747", "3": "71717", "4": "55711", "5": "74717", "6": "74757", "7": "71222", "8": "75757",
    "9": "75717", "A": "25755", "B": "65656", "C": "34443", "D": "65556", "E": "74647", "F": "74644", "G": "34553", "H": "55755",
    "I": "72227", "J": "11152", "K": "55655", "L": "44447", "M": "57755", "N": "65555", "O": "25552", "P": "65644", "Q": "25563",
    "R": "65655", "S": "34216", "T": "72222", "U": "55557", "V": "55552", "W": "55775", "X": "55255", "Y": "55222", "Z": "71247",
    "-": "00700", ":": "02020", ".": "00002", ",": "00024", "_": "00007", "/": "11244", "(": "12221", ")": "42224", " ": "00000",
}  # fmt: skip
_UNKNOWN = "70507"
_SCALE = 2
HEIGHT = 5 * _SCALE


def text_pixels(text: str) -> np.ndarray:
    """Return where a text has ink: a boolean array of `HEIGHT` rows. Small letters are written as capitals."""
    rows = np.zeros((5, 4 * max(1, len(text))), dtype=bool)
    for place, letter in enumerate(text.upper()):
        for row, digit in enumerate(_DOTS.get(letter, _UNKNOWN)):
            for dot in range(3):
                rows[row, 4 * place + dot] = int(digit) & (4 >> dot)
    return rows.repeat(_SCALE, axis=0).repeat(_SCALE, axis=1)
