"""Label Sequence Extension."""

from __future__ import annotations

import torch

from relforge.tagger.label_lists import NO_OBJECTS, LabelLists, NameSampler, extend_labels
from relforge.tagger.targets import Targets


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def targets() -> Targets:
    box = torch.full((1, 4), 0.5)
    return Targets(box, box, torch.tensor([0]), torch.tensor([1]), torch.tensor([[1.0]]))


def test_lists_grow_to_two_thirds_objects_and_one_third_relations() -> None:
    objects = NameSampler([f"object {i}" for i in range(400)], [1.0] * 400)
    relations = NameSampler([f"relation {i}" for i in range(300)], [1.0] * 300)
    own = LabelLists(("cat", "mat", NO_OBJECTS), ("on",))

    lists, (wider,) = extend_labels(own, [targets()], objects, relations, 500, generator())

    assert len(lists.objects) == 333 + 1
    assert len(lists.relations) == 167
    assert lists.objects[:2] == ("cat", "mat")
    assert lists.objects[-1] == NO_OBJECTS
    assert len(set(lists.texts())) == 333 + 1 + 167
    assert wider.relations.shape == (1, 167)
    assert wider.relations.sum() == 1


def test_a_vocabulary_smaller_than_the_quota_is_used_up_and_no_more() -> None:
    sampler = NameSampler(["cat", "dog", "mat"], [3.0, 2.0, 1.0])
    assert set(sampler.extend(["cat"], 10, generator())) == {"cat", "dog", "mat"}


def test_a_list_that_is_long_enough_stays_as_it_is() -> None:
    sampler = NameSampler(["cat", "dog"], [1.0, 1.0])
    assert sampler.extend(["a", "b", "c"], 2, generator()) == ("a", "b", "c")


def test_frequent_names_are_drawn_more_often() -> None:
    sampler = NameSampler(["often", "rarely"], [99.0, 1.0])
    source = generator()
    drawn = [sampler.extend([], 1, source)[0] for _ in range(200)]
    assert drawn.count("often") > 180
