"""Laws of taking changes of a contract back."""

from dataclasses import replace
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from mesh_assets.edits import Kept, judged, taking

STEPS = st.lists(st.tuples(st.sampled_from(["save", "save", "hand", "undo"]), st.integers(0, 5)), max_size=25)


class Contract:
    """A file, its log, and what should be in it: words by number, of saves and of people."""

    def __init__(self) -> None:
        self.text, self.log, self.numbers = "", [], count()
        self.by_hand: set[str] = set()
        self.was: dict[str, str] = {}  # the text before each change

    def keep(self, after: str, takes_back: tuple[str, ...] = ()) -> None:
        number = next(self.numbers)
        one = Kept(
            id=f"e{number}", table="a.b", file="f", what="w", by="", at=f"{number:06}", before=self.text, after=after,
            undone="", takes_back=takes_back,
        )  # fmt: skip
        self.was.setdefault(one.id, self.text)
        self.log.insert(0, one)
        self.text = after

    def step(self, what: str, pick: int) -> None:
        word = f"<{next(self.numbers)}>"
        if what == "save":
            self.keep(self.text + word)
        elif what == "hand":
            self.text += word
            self.by_hand.add(word)
        else:
            self.undo(pick)

    def undo(self, pick: int) -> None:
        able = [one for one in judged(self.log, self.text) if not one.refused]
        if not able:
            return
        one = able[pick % len(able)]
        taken = taking(self.log, one)
        assert taken[0].after == self.text  # else the file has changed, and `authoring.restored` refuses
        ids = tuple(each.id for each in taken)
        self.keep(one.before, ids)
        again = one.takes_back
        self.log = [
            replace(each, undone="x" if each.id in ids else "" if each.id in again else each.undone)
            for each in self.log
        ]
        assert self.text == self.was[one.id]


@given(STEPS)
def test_what_somebody_wrote_by_hand_is_never_undone(steps):
    contract = Contract()
    for what, pick in steps:
        contract.step(what, pick)
        assert all(word in contract.text for word in contract.by_hand)


@given(st.integers(1, 8), st.integers(0, 7))
def test_any_of_the_latest_is_taken_back_with_those_that_are_newer_and_comes_again(saves, pick):
    contract = Contract()
    for _ in range(saves):
        contract.step("save", 0)
    last = contract.text
    assert [one.newer for one in judged(contract.log, last)] == list(range(saves))
    contract.undo(pick)
    assert contract.text.count("<") == saves - 1 - pick % saves
    assert not judged(contract.log, contract.text)[0].refused  # the undo itself
    contract.undo(0)
    assert contract.text == last
