"""The raw files of the shipped mesh: what six operational systems would have exported, with their dirt.

`python -m tools.rawdata` writes them again, the same content every time. Every fault is put in on purpose, in a
known number of rows; `domains/faults.yaml` says which test finds it.
"""

from collections.abc import Mapping

import polars as pl

Files = Mapping[str, pl.DataFrame]  # path below domains/ -> its content; the suffix names the format
