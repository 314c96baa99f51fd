"""The world behind the exports: who practises where, and what the calendar is. No system ever sees it whole."""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

SEED = 20250307
WEEKS = tuple(date(2025, 1, 3) + timedelta(weeks=n) for n in range(34))  # Fridays, 2025-01-03 to 2025-08-22
LAUNCH = date(2025, 3, 7)
PHYSICIANS = 6_000

# region -> territory -> (city, state, first three digits of its ZIP codes)
REGIONS: dict[str, dict[str, tuple[tuple[str, str, str], ...]]] = {
    "Northeast": {
        "Boston": (("Boston", "MA", "021"), ("Worcester", "MA", "016"), ("Providence", "RI", "029")),
        "Hartford": (("Hartford", "CT", "061"), ("New Haven", "CT", "065"), ("Springfield", "MA", "011")),
        "New York": (("New York", "NY", "100"), ("Brooklyn", "NY", "112"), ("Yonkers", "NY", "107")),
        "Upstate": (("Albany", "NY", "122"), ("Syracuse", "NY", "132"), ("Buffalo", "NY", "142")),
        "New Jersey": (("Newark", "NJ", "071"), ("Trenton", "NJ", "086"), ("Princeton", "NJ", "085")),
        "Philadelphia": (("Philadelphia", "PA", "191"), ("Wilmington", "DE", "198"), ("Allentown", "PA", "181")),
    },
    "Southeast": {
        "Chesapeake": (("Baltimore", "MD", "212"), ("Washington", "DC", "200"), ("Richmond", "VA", "232")),
        "Carolinas": (("Charlotte", "NC", "282"), ("Raleigh", "NC", "276"), ("Columbia", "SC", "292")),
        "Atlanta": (("Atlanta", "GA", "303"), ("Savannah", "GA", "314"), ("Birmingham", "AL", "352")),
        "North Florida": (("Jacksonville", "FL", "322"), ("Orlando", "FL", "328"), ("Tallahassee", "FL", "323")),
        "South Florida": (("Miami", "FL", "331"), ("Fort Lauderdale", "FL", "333"), ("Tampa", "FL", "336")),
        "Tennessee Valley": (("Nashville", "TN", "372"), ("Memphis", "TN", "381"), ("Louisville", "KY", "402")),
    },
    "Midwest": {
        "Chicago": (("Chicago", "IL", "606"), ("Evanston", "IL", "602"), ("Milwaukee", "WI", "532")),
        "Ohio": (("Columbus", "OH", "432"), ("Cleveland", "OH", "441"), ("Cincinnati", "OH", "452")),
        "Michigan": (("Detroit", "MI", "482"), ("Grand Rapids", "MI", "495"), ("Ann Arbor", "MI", "481")),
        "Twin Cities": (("Minneapolis", "MN", "554"), ("Saint Paul", "MN", "551"), ("Des Moines", "IA", "503")),
        "Gateway": (("Saint Louis", "MO", "631"), ("Kansas City", "MO", "641"), ("Omaha", "NE", "681")),
        "Indiana": (("Indianapolis", "IN", "462"), ("Fort Wayne", "IN", "468"), ("South Bend", "IN", "466")),
    },
    "West": {
        "Los Angeles": (("Los Angeles", "CA", "900"), ("Long Beach", "CA", "908"), ("Pasadena", "CA", "911")),
        "Bay Area": (("San Francisco", "CA", "941"), ("Oakland", "CA", "946"), ("San Jose", "CA", "951")),
        "Pacific Northwest": (("Seattle", "WA", "981"), ("Portland", "OR", "972"), ("Spokane", "WA", "992")),
        "Mountain": (("Denver", "CO", "802"), ("Salt Lake City", "UT", "841"), ("Boise", "ID", "837")),
        "Desert": (("Phoenix", "AZ", "850"), ("Tucson", "AZ", "857"), ("Las Vegas", "NV", "891")),
        "Texas": (("Houston", "TX", "770"), ("Dallas", "TX", "752"), ("Austin", "TX", "787")),
    },
}
SPECIALTIES = {  # name: (code in the western CRM, share of the physicians, share who treat migraine, scripts a week)
    "Neurology": ("N", 0.17, 0.96, 6.0),
    "Headache Medicine": ("HM", 0.03, 1.00, 11.0),
    "Family Medicine": ("FM", 0.33, 0.70, 2.0),
    "Internal Medicine": ("IM", 0.25, 0.62, 1.8),
    "Psychiatry": ("P", 0.09, 0.35, 1.2),
    "Obstetrics & Gynecology": ("OBG", 0.08, 0.33, 1.0),
    "Pain Medicine": ("PM", 0.05, 0.82, 3.2),
}
FIRST = (  # noqa: SIM905 - long lists of words read best as text
    "James Mary Robert Patricia John Jennifer Michael Linda David Elizabeth William Barbara Richard Susan Joseph Jessica "
    "Thomas Sarah Carlos Karen Daniel Lisa Matthew Nancy Anthony Betty Mark Sandra Steven Ashley Andrew Emily Paul Donna "
    "Joshua Michelle Kenneth Carol Kevin Amanda Brian Melissa George Deborah Timothy Stephanie Ronald Rebecca Jason Laura "
    "Edward Helen Jeffrey Sharon Ryan Cynthia Jacob Kathleen Priya Amit Wei Mei Hiroshi Yuki Ahmed Fatima Omar Leila Jose "
    "Lucia Miguel Sofia Ivan Olga Chidi Amara Kwame Ngozi Anders Ingrid"
).split()
LAST = (  # noqa: SIM905
    "Smith Johnson Williams Brown Jones Garcia Miller Davis Rodriguez Martinez Hernandez Lopez Gonzalez Wilson Anderson "
    "Thomas Taylor Moore Jackson Martin Lee Perez Thompson White Harris Sanchez Clark Ramirez Lewis Robinson Walker Young "
    "Allen King Wright Scott Torres Nguyen Hill Flores Green Adams Nelson Baker Hall Rivera Campbell Mitchell Carter Roberts "
    "Patel Shah Gupta Singh Kumar Chen Wang Li Zhang Liu Kim Park Choi Tanaka Sato Suzuki Okafor Mensah Adeyemi Diallo Hassan "
    "Ali Khan Rahman Haddad Cohen Levy Katz Rosen Goldberg Schwartz Weiss Schmidt Mueller Fischer Weber Larsen Nielsen Berg "
    "Johansson Novak Kowalski Petrov Ivanov Popescu Rossi Russo Ferrari Moreau Dubois O'Brien O'Connor Murphy Kelly Sullivan "
    "Fitzgerald McCarthy Silva Santos Oliveira Costa Almeida Reyes Cruz Morales Ortiz Gutierrez Vasquez Castillo Jimenez"
).split()
CLINICS = tuple(
    f"{place}-{kind}.example"
    for place in (
        "northgate",
        "riverside",
        "lakeview",
        "stvincent",
        "beacon",
        "summit",
        "harbor",
        "oakridge",
        "mercy",
        "unity",
    )
    for kind in ("clinic", "health", "medical")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Physician:
    """One person who prescribes: the truth that the CRM exports tell badly."""

    npi: str
    first: str
    last: str
    specialty: str
    email: str
    phone: str
    street: str
    city: str
    state: str
    zip: str
    territory: str
    region: str
    volume: float  # scripts of the whole market in a week; 0 for who treats no migraine
    opted_out: bool


def stream(part: str) -> np.random.Generator:
    """Random numbers of one part; changing one part leaves the others as they were."""
    return np.random.default_rng([SEED, *part.encode()])


def territories() -> list[tuple[str, str, str, tuple[tuple[str, str, str], ...]]]:
    """Id, name, region and cities of every sales territory."""
    flat = [(name, region, cities) for region, group in REGIONS.items() for name, cities in group.items()]
    return [(f"T{number:02d}", *rest) for number, rest in enumerate(flat, start=1)]


def national_provider_id(number: int) -> str:
    """A ten-digit identifier that begins with 1 and ends with a Luhn check digit, as the real ones do."""
    base = f"{100_000_000 + number:09d}"
    doubled = sum(int("0246813579"[int(digit)]) for digit in base[::2])
    return base + str(-(24 + doubled + sum(map(int, base[1::2]))) % 10)


def physicians() -> list[Physician]:
    """Everyone who prescribes, in a fixed order."""
    rng = stream("physicians")
    names = list(SPECIALTIES)
    shares = np.array([SPECIALTIES[name][1] for name in names])
    numbers = rng.choice(99_999_999, PHYSICIANS, replace=False)
    places = [(*city, name, region) for _, name, region, cities in territories() for city in cities]
    people, emails = [], set()
    for number in numbers:
        first, last = FIRST[rng.integers(len(FIRST))], LAST[rng.integers(len(LAST))]
        specialty = names[rng.choice(len(names), p=shares / shares.sum())]
        city, state, prefix, territory, region = places[rng.integers(len(places))]
        local = f"{first}.{last}".lower().replace("'", "")
        clinic = CLINICS[rng.integers(len(CLINICS))]
        email = f"{local}@{clinic}"
        while email in emails:
            email = f"{local}{rng.integers(2, 99)}@{clinic}"
        emails.add(email)
        _, _, treats, scripts = SPECIALTIES[specialty]
        people.append(
            Physician(
                npi=national_provider_id(int(number)),
                first=first,
                last=last,
                specialty=specialty,
                email=email,
                phone=f"({rng.integers(201, 990)}) 555-{rng.integers(0, 10_000):04d}",
                street=f"{rng.integers(1, 9_900)} {LAST[rng.integers(len(LAST))]} {('St', 'Ave', 'Blvd', 'Rd')[rng.integers(4)]}",
                city=city,
                state=state,
                zip=f"{prefix}{rng.integers(1, 90):02d}",
                territory=territory,
                region=region,
                volume=float(scripts * rng.lognormal(0, 0.7)) if rng.random() < treats else 0.0,
                opted_out=bool(rng.random() < 0.06),
            )
        )
    return people


def spread(rng: np.random.Generator, size: int, faults: dict[str, int]) -> dict[str, np.ndarray]:
    """Rows for each fault, never two faults in one row, so that every count is exact."""
    picked = rng.permutation(size)[: sum(faults.values())]
    edges = np.cumsum([0, *faults.values()])
    return {name: np.sort(picked[low:high]) for name, low, high in zip(faults, edges, edges[1:], strict=False)}
