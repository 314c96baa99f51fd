"""Whatever stands in a file, it is read or refused with a place: nothing else is ever raised."""

import copy
import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mesh_assets.errors import PROBLEMS, ConfigError
from mesh_assets.reading import shape, source
from mesh_assets.reading.domainfile import read_domain
from mesh_assets.reading.odcs import read_contract
from mesh_assets.reading.sqlread import read_sql

TINY = Path(__file__).parents[1] / "meshes" / "tiny"
FILES = sorted(TINY.rglob("*.yaml"))
CONTRACTS = [path for path in FILES if path.name.endswith(".odcs.yaml")]
WORDS = [
    "name",
    "schema",
    "properties",
    "quality",
    "metric",
    "mustBe",
    "port",
    "source",
    "logicalType",
    "type",
    "team",
    "x",
    "id",
]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**39), 10**39),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(
        [
            *WORDS,
            *("rowCount", "string", "array", "map", "sql", "text", "custom", "v3.0.2", "..", "/", "*", "(", "a.b.c"),
        ]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(WORDS), inner, max_size=4)),
    max_leaves=12,
)


def paths_of(value, path=()):
    """Every place in nested values."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from paths_of(item, (*path, key))


@st.composite
def mutated(draw, files):
    """A valid file with one to three of its values replaced, removed, doubled or joined by an unknown key."""
    value = copy.deepcopy(source.load(draw(st.sampled_from(files)), "f").root)
    for _ in range(draw(st.integers(1, 3))):
        places = [path for path in paths_of(value) if path]
        if not places:  # the only key of a small file was removed
            break
        *parents, key = draw(st.sampled_from(places))
        owner = value
        for step in parents:
            owner = owner[step]
        match draw(st.sampled_from(["replace", "remove", "rename", "add"])):
            case "replace":
                owner[key] = draw(VALUES)
            case "remove":
                del owner[key]
            case "rename" if isinstance(owner, dict):
                owner[draw(st.sampled_from(WORDS))] = owner.pop(key)
            case _ if isinstance(owner, dict):
                owner[draw(st.sampled_from(WORDS))] = draw(VALUES)
            case _:
                owner.append(draw(VALUES))
    return json.loads(json.dumps(value))


def check_all(document: source.Document) -> None:
    problems = [
        *read_contract(document, "shop", "sales").problems,
        *read_domain(document, Path("shop"), lambda *_: None).problems,
        *shape.ours("mesh").problems(document),
    ]
    for problem in problems:
        assert problem.code in PROBLEMS
        assert problem.where.line >= 1
        assert problem.what
        assert problem.mend


@given(st.text(max_size=200) | st.text(alphabet="abc:-[]{}&*!|>'\"%@#?, \n\t0", max_size=200))
@settings(deadline=None)
def test_random_text_is_read_or_refused(text):
    try:
        document = source.parse(text, "f")
    except ConfigError as error:
        assert len(error.problems) == 1
        return
    check_all(document)


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_random_bytes_are_read_or_refused(tmp_path_factory, content):
    file = tmp_path_factory.getbasetemp() / "random.yaml"
    file.write_bytes(content)
    try:
        check_all(source.load(file, "f"))
    except ConfigError as error:
        assert len(error.problems) == 1


@given(VALUES | mutated(FILES))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_document_is_read_or_its_problems_told(value):
    try:
        document = source.parse(yaml.safe_dump(value, allow_unicode=True), "f")
    except ConfigError:
        return
    check_all(document)


@given(VALUES)
@settings(deadline=None)
def test_what_json_writes_is_read_back(value):
    text = json.dumps({"a": value})
    try:
        assert source.parse(text, "f").root == {"a": value}
    except ConfigError as error:
        assert error.problems[0].code in ("M006", "M007")


@cache
def oracle():
    """An independent implementation of JSON Schema, on the same schema."""
    import jsonschema

    folder = find_spec("open_data_contract_standard").submodule_search_locations[0]
    schema = shape.mended(json.loads(Path(folder, "schema.json").read_bytes()))
    return jsonschema.Draft201909Validator(schema)


@given(mutated(CONTRACTS))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_compiled_schema_agrees_with_jsonschema(value):
    assert bool(shape.standard().faults(value)) is not oracle().is_valid(value)


@given(st.text(max_size=100) | st.text(alphabet="selctfrom t.,()'\"*-;\n", max_size=100))
@settings(deadline=None)
def test_random_sql_is_read_or_refused(text):
    for fault in read_sql(text).faults:
        assert fault.code in PROBLEMS
        assert fault.line >= 1
