"""Dictionary forms of English verbs by rule, for words in no table."""

from __future__ import annotations

from functools import lru_cache

_IRREGULAR_VERBS = """
is:be are:be was:be were:be been:be being:be am:be 's:have has:have had:have having:have does:do did:do
done:do goes:go went:go gone:go sat:sit stood:stand held:hold ate:eat eaten:eat rode:ride ridden:ride
drove:drive driven:drive flew:fly flown:fly wore:wear worn:wear took:take taken:take threw:throw
thrown:throw caught:catch ran:run hung:hang made:make built:build drank:drink drunk:drink swung:swing
swam:swim fell:fall fallen:fall lying:lie laid:lay lain:lie left:leave kept:keep shone:shine stuck:stick
bent:bend broke:break broken:break gave:give given:give grew:grow grown:grow slept:sleep spoke:speak
written:write wrote:write seen:see saw:see came:come got:get gotten:get drew:draw drawn:draw led:lead
fed:feed met:meet read:read slid:slide torn:tear tied:tie tying:tie blew:blow blown:blow woven:weave
wound:wind frozen:freeze hidden:hide bitten:bite shot:shoot sold:sell told:tell bought:buy brought:bring
leapt:leap knelt:kneel lit:light spread:spread dug:dig risen:rise rose:rise begun:begin began:begin
chosen:choose found:find fought:fight strung:string sewn:sew shown:show sunk:sink thought:think won:win
dying:die tucked:tuck fixing:fix
"""
IRREGULAR_VERBS = dict(pair.split(":") for pair in _IRREGULAR_VERBS.split())

VOWELS = set("aeiou")


@lru_cache(maxsize=65536)
def verb_lemmas(word: str) -> tuple[str, ...]:
    """Candidate dictionary forms of a verb form, likeliest first; the word itself is always among them."""
    found: list[str] = []
    if word in IRREGULAR_VERBS:
        found.append(IRREGULAR_VERBS[word])
    for ending in ("ing", "ed", "en", "er"):
        stem = word[: -len(ending)]
        if word.endswith(ending) and len(stem) >= 2 and (VOWELS | {"y"}) & set(stem):
            found += _from_stem(stem, ending)
    if word.endswith("ies") and len(word) > 4:
        found.append(word[:-3] + "y")
    elif word.endswith("es") and len(word) > 3:
        sibilant = word[:-2].endswith(("ch", "sh", "ss", "x", "o", "zz"))
        found += [word[:-2], word[:-1]] if sibilant else [word[:-1], word[:-2]]
    elif word.endswith("s") and not word.endswith("ss") and len(word) > 3:
        found.append(word[:-1])
    found.append(word)
    return tuple(dict.fromkeys(found))


def _from_stem(stem: str, ending: str) -> list[str]:
    """What a verb was before -ing, -ed, -en or -er: carri(ed), sitt(ing), rid(ing), hold(ing), roll(ing)."""
    twice = len(stem) >= 3 and stem[-1] == stem[-2]
    if ending == "ed" and stem.endswith("i"):
        return [stem[:-1] + "y"]
    if twice and stem[-1] not in "lsz":
        return [stem[:-1], stem, stem + "e", stem[:-1] + "e"]
    whole = [stem + "e", stem] if _wants_e(stem) else [stem, stem + "e"]
    return [*whole, stem[:-1]] if twice else whole


def _wants_e(stem: str) -> bool:
    """Whether a verb stem lost an e: mak(ing), danc(ing), observ(ed) - and not hold(ing), look(ing)."""
    if stem.endswith(
        ("c", "v", "u", "dg", "bl", "tl", "dl", "gl", "pl", "ckl", "ng", "rg", "rs", "ns", "as", "os", "us")
    ):
        return not stem.endswith(("ing", "ang", "ung", "ong"))
    if len(stem) >= 2 and stem[-1] not in VOWELS | set("wxyh") and stem[-2] in VOWELS:
        longer = len(stem) >= 3 and stem[-3] in VOWELS
        if longer:
            return stem.endswith(("eas", "eav", "ous", "ais", "aus"))
        short = sum(letter in VOWELS for letter in stem)
        return short == 1 or stem.endswith(("at", "iz", "in" if short == 1 else "at", "ut", "id", "os"))
    return False
