"""Read CoNLL-U treebanks (https://universaldependencies.org/format.html)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from relforge.trainer.spacy_pipeline.tree import ROOT, Tree


def read_conllu(path: Path) -> Iterator[Tree]:
    """Every sentence of a file, with Universal Dependencies labels.

    Empty nodes are skipped, and the words of a multiword token are tokens of their own.

    Raises:
        ValueError: a line without ten columns, naming file and line.
    """
    tree = Tree()
    glued_until = 0  # last word of the multiword token being read
    glue_ends_with_space = True
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            line = line.rstrip("\n")
            if not line:
                if len(tree):
                    yield tree
                tree = Tree()
                glued_until = 0
                continue
            if line.startswith("#"):
                continue
            columns = line.split("\t")
            if len(columns) != 10:
                raise ValueError(f"{path}:{number}: expected 10 columns of CoNLL-U, found {len(columns)}")
            identity, form, lemma, pos, tag, _, head, dep, _, misc = columns
            space = "SpaceAfter=No" not in misc
            if "-" in identity:
                glued_until = int(identity.split("-")[1])
                glue_ends_with_space = space
                continue
            if "." in identity:
                continue
            if int(identity) < glued_until:
                space = False
            elif int(identity) == glued_until:
                space = glue_ends_with_space
            index = tree.add(form, tag, pos, lemma, space)
            tree.attach(index, int(head) - 1 if head != "0" else ROOT, "ROOT" if head == "0" else dep)
    if len(tree):
        yield tree
