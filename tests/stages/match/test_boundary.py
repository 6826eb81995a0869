"""`boundary` matching: whole words, head noun first, longest synonym, plurals, quantities, evidence."""

from __future__ import annotations

import json

import pytest

from relforge.stages.match.phrases import PhraseMatcher
from relforge.stages.match.stage import MatchStage
from relforge.stages.match.vocabulary import load, own_names
from relforge.stages.match.words import singular, words


@pytest.fixture(scope="module")
def coco() -> PhraseMatcher:
    vocabulary = load(["coco"])
    return PhraseMatcher(vocabulary, list(vocabulary.classes))


def named(matcher: PhraseMatcher, phrase: str) -> set[str]:
    return {hit.category for hit in matcher.match(phrase)}


@pytest.mark.parametrize(
    ("phrase", "wrong"),
    [
        ("a bedroom", "bed"),
        ("a carpet", "car"),
        ("a businessman", "bus"),
        ("a wooden chair", "person"),  # hair in chair
        ("a handbag", "person"),  # hand
        ("personal computer", "person"),
        ("a carrot", "car"),
        ("the cattle", "cat"),
        ("a bush", "bus"),
        ("a mantel", "person"),
        ("a long beard", "bear"),
        ("a teddy bear", "bear"),
        ("a hot dog", "dog"),
        ("an orange shirt", "orange"),
        ("a snowboarder", "snowboard"),
        ("a motorcycle", "bicycle"),
        ("a hot dog stand", "hot dog"),
        ("the train station", "train"),
        ("a bus driver", "bus"),
        ("a street light", "traffic light"),
        ("a snowman", "person"),
    ],
)
def test_a_word_inside_another_names_nothing(coco: PhraseMatcher, phrase: str, wrong: str) -> None:
    assert wrong not in named(coco, phrase)


@pytest.mark.parametrize(
    ("phrase", "classes"),
    [
        ("two men", {"person"}),
        ("a businessman", {"person"}),
        ("a bus driver", {"person"}),
        ("the Surfboards", {"surfboard"}),
        ("hot dogs", {"hot dog"}),
        ("hotdog", {"hot dog"}),
        ("several people 's bikes", {"bicycle", "motorcycle"}),
        ("a catcher's mitt", {"baseball glove"}),
        ("buses", {"bus"}),
        ("a pair of skis", {"skis"}),
        ("a large group of young women", {"person"}),
        ("a laptop computer", {"laptop"}),
        ("knives", {"knife"}),
        ("a t-shirt", set()),
        ("", set()),
        ("🙂", set()),
    ],
)
def test_phrases_name_their_classes(coco: PhraseMatcher, phrase: str, classes: set[str]) -> None:
    assert named(coco, phrase) == classes


def test_the_longest_synonym_wins_even_where_its_class_is_unknown_to_the_dataset() -> None:
    dogs_only = PhraseMatcher(load(["coco"]), ["dog"])
    assert named(dogs_only, "a hot dog") == set()
    assert named(dogs_only, "a brown dog") == {"dog"}


def test_the_rule_that_fired_is_recorded(rows) -> None:
    stage = MatchStage(["coco"])
    tables = {
        "triplets": rows.triplets(("a man", "eats", "a hot dog"), ("a businessman", "sees", "an animal")),
        "boxes": rows.boxes("person", "hot dog", "cow"),
        "images": rows.table("images", {}),
    }
    found = stage.process(tables).tables["candidates"].to_pylist()
    assert {row["predicate"]: row["rule"] for row in found} == {
        "eats": "head|compound",
        "sees": "suffix|hypernym",
    }


def test_every_ordered_pair_of_the_two_classes_and_no_self_pair(rows) -> None:
    result = MatchStage(["coco"]).process(
        {
            "triplets": rows.triplets(("a man", "next to", "a woman")),
            "boxes": rows.boxes("person", "dog", "person", "person"),
            "images": rows.table("images", {}),
        }
    )
    pairs = [(r["subject_box"], r["object_box"]) for r in result.tables["candidates"].to_pylist()]
    assert pairs == [(0, 2), (0, 3), (2, 0), (2, 3), (3, 0), (3, 2)]


def test_support_counts_captions_and_keeps_the_evidence(rows) -> None:
    import pyarrow as pa

    captions = [rows.triplets(("a man", "rides", "a horse"), caption_id=c) for c in (4, 1)]
    captions.append(rows.triplets(("a guy", "rides", "the pony"), ("a guy", "on", "it"), caption_id=2))
    result = MatchStage(["coco"]).process(
        {
            "triplets": pa.concat_tables(captions),
            "boxes": rows.boxes("horse", "person"),
            "images": rows.table("images", {}),
        }
    )
    (row,) = result.tables["candidates"].to_pylist()
    assert (row["support"], row["caption_ids"], row["position"]) == (3, [1, 2, 4], 0)
    assert (result.kept, result.dropped) == (3, {"object_names_no_class": 1})


def test_a_candidate_names_every_triplet_that_says_so(rows) -> None:
    import pyarrow as pa

    twice = rows.triplets(
        ("a man", "rides", "a horse"), ("a dog", "near", "it"), ("a guy", "rides", "the pony"), caption_id=7
    )
    once = rows.triplets(("a boy", "rides", "a horse"), caption_id=3)
    result = MatchStage(["coco"]).process(
        {
            "triplets": pa.concat_tables([once, twice]),
            "boxes": rows.boxes("horse", "person"),
            "images": rows.table("images", {}),
        }
    )
    (row,) = result.tables["candidates"].to_pylist()
    named = [(one["caption_id"], one["triplet_id"]) for one in row["triplet_ids"]]
    assert named == [(3, 0), (7, 0), (7, 2)]
    assert (row["support"], row["caption_ids"]) == (2, [3, 7])


def test_a_group_of_people_rides_as_people(rows) -> None:
    result = MatchStage(["coco"]).process(
        {
            "triplets": rows.triplets(("a group", "of", "people"), ("a group", "riding", "bicycles")),
            "boxes": rows.boxes("person", "bicycle"),
            "images": rows.table("images", {}),
        }
    )
    (row,) = result.tables["candidates"].to_pylist()
    assert (row["subject_box"], row["predicate"], row["object_box"]) == (0, "riding", 1)
    assert result.dropped == {"quantity_of": 1}


def test_a_general_word_is_evidence_only_where_it_means_one_class(rows) -> None:
    def pairs(*classes: str) -> int:
        return (
            MatchStage(["coco"])
            .process(
                {
                    "triplets": rows.triplets(("a man", "feeding", "an animal")),
                    "boxes": rows.boxes("person", *classes),
                    "images": rows.table("images", {}),
                }
            )
            .tables["candidates"]
            .num_rows
        )

    assert pairs("cow", "cow") == 2
    assert pairs("cow", "horse") == 0


def test_each_dropped_triplet_has_one_reason(rows) -> None:
    result = MatchStage(["coco"]).process(
        {
            "triplets": rows.triplets(
                ("sky", "above", "sea"),
                ("sky", "above", "a man"),
                ("a man", "under", "sky"),
                ("a man", "holding", "a kite"),
                ("a man", "near", "a man"),
            ),
            "boxes": rows.boxes("person"),
            "images": rows.table("images", {}),
        }
    )
    assert result.kept == 0
    assert result.dropped == {
        "neither_names_a_class": 1,
        "subject_names_no_class": 1,
        "object_names_no_class": 1,
        "class_has_no_box_here": 1,
        "no_second_box": 1,
    }


def test_the_overlap_prior_and_crowd_boxes(rows) -> None:
    apart = rows.table(
        "boxes",
        {"box_id": 0, "category": "person"},
        {"box_id": 1, "category": "dog", "x": 5.0},
        {"box_id": 2, "category": "dog", "x": 10.0},  # touches: not an overlap
        {"box_id": 3, "category": "dog", "iscrowd": True},
    )
    tables = {
        "triplets": rows.triplets(("a man", "with", "dogs")),
        "boxes": apart,
        "images": rows.table("images", {}),
    }

    def objects(**options: bool) -> list[int]:
        found = MatchStage(["coco"], **options).process(tables)  # type: ignore[arg-type]
        return found.tables["candidates"]["object_box"].to_pylist()

    assert objects() == [1, 2]
    assert objects(overlap_prior=True) == [1]
    assert objects(crowd_boxes=True) == [1, 2, 3]


def test_images_without_triplets_or_boxes_give_nothing(rows) -> None:
    empty = {name: rows.table(name) for name in ("triplets", "boxes", "images")}
    result = MatchStage(["coco"]).process(empty)
    assert (result.tables["candidates"].num_rows, result.kept, result.dropped) == (0, 0, {})


def test_built_in_tables_cover_every_class(shared) -> None:
    published = json.loads(shared("data/vocab/rlipv2/o365_obj_paraphrase.json").read_text())
    assert set(published) == set(load(["objects365"]).classes)
    published = json.loads(shared("data/vocab/rlipv2/hico_obj_paraphrase.json").read_text())
    assert set(published) == set(load(["coco"]).classes)


def test_hypernyms_name_known_classes() -> None:
    for name in ("coco", "objects365"):
        vocabulary = load([name])
        for word, categories in vocabulary.hypernyms.items():
            assert set(categories) <= set(vocabulary.classes), word


def test_user_tables_add_to_built_in_ones(tmp_path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("classes: {dog: [woofer], drone: [quadcopter]}")
    vocabulary = load(["coco", str(own)])
    matcher = PhraseMatcher(vocabulary, ["dog", "drone"])
    assert named(matcher, "two woofers") == {"dog"}
    assert named(matcher, "a puppy") == {"dog"}
    assert named(matcher, "a quadcopter") == {"drone"}


@pytest.mark.parametrize(
    ("text", "message"),
    [("[1]", "is a mapping"), ("{dog: puppy}", "needs a list"), ("{classes: {}, extra: 1}", "unknown keys")],
)
def test_a_bad_table_is_named(tmp_path, text: str, message: str) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        load([str(bad)])
    assert "bad.yaml" in str(error.value)


def test_a_missing_table_says_what_there_is() -> None:
    with pytest.raises(FileNotFoundError, match="coco, objects365"):
        MatchStage(["no_such_table"]).files()


def test_words_and_singulars() -> None:
    assert words("A man's T-shirt, isn't it?") == ("a", "man", "t", "shirt", "isn't", "it")
    plurals = "buses glasses knives women skis puppies dishes cookies bus glass tennis policemen"
    expected = "bus glass knife woman ski puppy dish cookie bus glass tennis policeman"
    assert [singular(word) for word in plurals.split()] == expected.split()


def test_names_with_slashes_are_split() -> None:
    assert own_names("cutting/chopping board") == ["cutting board", "chopping board"]
    assert own_names("monitor/tv") == ["monitor", "tv"]
    assert own_names("person") == ["person"]


@pytest.mark.parametrize(("count", "pairs"), [(0, 0), (1, 0), (2, 2), (300, 300 * 299)])
def test_from_no_object_to_three_hundred(rows, count: int, pairs: int) -> None:
    result = MatchStage(["coco"]).process(
        {
            "triplets": rows.triplets(("a man", "near", "a woman")),
            "boxes": rows.boxes(*["person"] * count),
            "images": rows.table("images", {}),
        }
    )
    assert result.tables["candidates"].num_rows == pairs
    assert result.kept + sum(result.dropped.values()) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "fuzzy"}, "match.method: 'fuzzy' is not one of boundary, substring"),
        ({"original_names": True}, "match.original_names: only"),
        ({"synonyms": "coco"}, "give a list"),
    ],
)
def test_bad_options_name_the_field(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MatchStage(**options)
