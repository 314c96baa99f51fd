"""Write the raw files of the shipped mesh: `python -m tools.rawdata [FOLDER]` (default: `domains`)."""

import argparse
from pathlib import Path

import polars as pl

from tools.rawdata import Files, crm, field, market
from tools.rawdata.world import physicians


def everything() -> Files:
    """All raw files, by path below the folder of the domains."""
    people = physicians()
    contacts = crm.exports(people)
    return {**contacts, **market.exports(people), **field.exports(people, crm.areas(contacts))}


def write(frame: pl.DataFrame, path: Path) -> None:
    """One export, in the format that its suffix names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    match path.suffix:
        case ".csv":
            frame.write_csv(path, datetime_format="%Y-%m-%d %H:%M:%S")
        case ".json":
            path.write_text(market.as_json(frame), encoding="utf-8")
        case _:
            frame.write_parquet(path, compression="zstd", compression_level=19, statistics=False)


def main() -> None:
    """Write them and say how many."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("domains"))
    folder = parser.parse_args().folder
    files = everything()
    for name, frame in files.items():
        write(frame, folder / name)
    rows, size = sum(map(len, files.values())), sum((folder / name).stat().st_size for name in files)
    print(f"{len(files)} files, {rows:,} rows, {size / 1e6:.1f} MB in {folder}")


if __name__ == "__main__":
    main()
