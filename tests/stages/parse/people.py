"""Captions that people wrote of COCO's images, by annotation id, and what the parse stage makes of them.

`subject | predicate | object` has to be there, as the caption words it (head nouns); with `!` in front it
must not be, `*` standing for any words. The texts are in the development data, not here.
"""

from __future__ import annotations

PEOPLE: dict[str, dict[int, str]] = {
    "passives": {
        415348: "birds | surrounding | bear",
        201854: "people | watching | baseball player",
        22525: "hand | holding | banana",
        641665: "horses | pulling | plow ; man | guiding | plow",
        221865: "plane | floating on top of | lake ; mountains | surrounding | lake",
        410803: "bear | sitting in | grass ; ! vultures | surrounded | *",
    },
    "light verbs": {
        407404: "BOY | doing a trick with | SKATEBOARD ; ! * | trick with | *",
        85591: "man | doing a trick with | skateboard",
        765298: "man | doing tricks on | skateboard",
        436219: "person | does a trick on | rail",
    },
    "waiting": {
        800197: "bicyclist | waiting in | roadway ; ! bicyclist | * | horses",
        114170: "women | hold | umbrellas ; women | waiting to cross | street",
        531141: "woman | waiting for | bus",
        70916: "car | waiting at | stop light",
        234508: "Passengers | wait at | platform ; ! Passengers | * | train",
    },
    "things side by side": {
        545955: "! oven | have | *",
        217615: "! people | have | *",
        543904: "! * | have | *",
        546003: "! * | have | *",
        322041: "! laptops | have | *",
        715932: "! bicycle | have | *",
        402366: "! boat | have | *",
    },
    "with and has": {
        122678: "bathroom | have | sink ; sink | with | tiles",
        293142: "bathroom | with | sink ; bathroom | with | mirror",
        360774: "kitchen | with | fridge",
    },
    "two statements": {
        359912: "woman | holds | baby ; woman | sitting next to | cage",
        585902: "man | wearing | sunglasses ; man | holding | plate",
        621124: "woman | holding | tennis racquet ; woman | wearing | glasses",
        283246: "woman | touching | carrots",
        631063: "! woman | * | man",
        353785: "person | sits in | chair ; ! * | * | person",
        247520: "banana | sitting in | baggie ; donut | sitting in | baggie",
    },
}

MISSED: dict[int, str] = {
    641665: "takes the plow for no thing",
    283246: "loses the second verb's relation after `while`",
}
"""Captions that the embedded weights get wrong, and how."""
