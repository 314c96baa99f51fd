"""The launch in two drawings, as SVG that any browser shows."""

from html import escape

import pandas as pd

import mesh_assets

INK, SOFT, GRID, OURS, OTHER = "#1f2933", "#616e7c", "#e4e7eb", "#0b7285", "#f08c00"
WIDTH, HEIGHT = 880, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 84, 64, 56


@mesh_assets.artifact(inputs=["weekly_report", "territory_scorecard"])
def launch_chart(weekly_report: pd.DataFrame, territory_scorecard: pd.DataFrame) -> dict[str, str]:
    """The launch curve by week, and the share of each territory."""
    return {"launch_curve.svg": launch_curve(weekly_report), "territories.svg": territories(territory_scorecard)}


def launch_curve(report: pd.DataFrame) -> str:
    """Prescriptions of each week as bars, everyone who has ever prescribed as a line."""
    weeks = report[report["weeks_since_launch"] >= 0].sort_values("week_ending")
    trx, people = weeks["velmora_trx"].tolist(), weeks["prescribers_to_date"].tolist()
    high, most = ceiling(max(trx, default=1)), ceiling(max(people, default=1))
    step = (WIDTH - LEFT - RIGHT) / max(len(weeks), 1)
    parts = [title("Velmora since launch", "Prescriptions a week (bars, left) and prescribers to date (line, right)")]
    for part in range(5):
        y = place(part / 4)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{GRID}"/>')
        parts.append(label(LEFT - 8, y + 4, f"{high * part // 4:,}", OURS, "end"))
        parts.append(label(WIDTH - RIGHT + 8, y + 4, f"{most * part // 4:,}", OTHER, "start"))
    for number, (week, value) in enumerate(zip(weeks["week_ending"], trx, strict=True)):
        x, y = LEFT + number * step, place(value / high)
        parts.append(
            f'<rect x="{x + step * 0.15:.1f}" y="{y:.1f}" width="{step * 0.7:.1f}" height="{place(0) - y:.1f}" fill="{OURS}">'
            f"<title>{week:%d %b %Y}: {value:,} prescriptions</title></rect>"
        )
        if number % 4 == 0:
            parts.append(label(x + step / 2, HEIGHT - BOTTOM + 20, f"{week:%d %b}", SOFT, "middle"))
    points = " ".join(f"{LEFT + (n + 0.5) * step:.1f},{place(value / most):.1f}" for n, value in enumerate(people))
    parts.append(f'<polyline points="{points}" fill="none" stroke="{OTHER}" stroke-width="2.5"/>')
    return drawing(parts, HEIGHT)


def territories(scorecard: pd.DataFrame) -> str:
    """Velmora's share of the market in each territory, best first."""
    rows = scorecard.sort_values(["velmora_share", "territory"], ascending=[False, True])
    shares = rows["velmora_share"].astype(float)
    wide = (WIDTH - 180 - RIGHT) / max(shares.max() if len(rows) else 1, 0.01)
    parts = [title("Share of the market by territory", "Velmora's part of all migraine prescriptions, last 13 weeks")]
    for number, (name, share) in enumerate(zip(rows["territory"], shares, strict=True)):
        y = TOP + 12 + number * 22
        parts.append(label(170, y + 12, name, INK, "end"))
        parts.append(f'<rect x="180" y="{y}" width="{share * wide:.1f}" height="15" fill="{OURS}"/>')
        parts.append(label(186 + share * wide, y + 12, f"{share:.1%}", SOFT, "start"))
    return drawing(parts, TOP + 36 + 22 * len(rows))


def place(part: float) -> float:
    """Height on the page of a part (0 to 1) of the vertical axis."""
    return HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)


def ceiling(value: int) -> int:
    """The next round number, so that an axis ends on one."""
    unit = 10 ** max(len(str(int(value))) - 2, 0) * 4
    return -(-int(value) // unit) * unit or 4


def title(text: str, note: str) -> str:
    """Heading and explanation."""
    return (
        f'<text x="{LEFT - 40}" y="28" font-size="18" font-weight="600" fill="{INK}">{escape(text)}</text>'
        f'<text x="{LEFT - 40}" y="47" font-size="12" fill="{SOFT}">{escape(note)}</text>'
    )


def label(x: float, y: float, text: str, colour: str, anchor: str) -> str:
    """One small text."""
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="11" fill="{colour}" text-anchor="{anchor}">{escape(text)}</text>'


def drawing(parts: list[str], height: int) -> str:
    """A whole SVG file."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" font-family="system-ui, sans-serif">'
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>{"".join(parts)}</svg>\n'
    )
