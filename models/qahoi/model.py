"""The network of QAHOI: both boxes, the object's class and the relations of a pair from one query."""

from __future__ import annotations

from torch import Tensor, nn

from relforge.models.blocks.backbone import Backbone
from relforge.models.blocks.decoder import Decoder, Memory, decoder_layers
from relforge.models.blocks.decoding import Boxes, decode_pairs
from relforge.models.blocks.encoder import Encoder, encoder_layers
from relforge.models.blocks.heads import BoxHeads, LinearClassifier
from relforge.models.blocks.pair_queries import PairBatch
from relforge.models.blocks.prediction import Labels, Output, Prediction
from relforge.models.blocks.pyramid import Pyramid


class Qahoi(nn.Module):
    """A learned table holds position and content of every query; a reference point is read off its position.

    Args:
        backbone: images to maps.
        classes, relations: how many there are.
        dim, heads, pairs, feedforward, dropout, levels: see `Sizes`.
        layers: of encoder and decoder.
        sigmoid_objects: object classes have sigmoids, and there is none for "no objects".
        refine: a query has two points, of subject and object, which move with its boxes from layer to layer
            and between which it looks; every layer has heads of its own (RLIPv2's repository). Otherwise it
            has one, which never moves, and all layers share their heads (as published).
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        classes: int,
        relations: int,
        dim: int,
        heads: int,
        pairs: int,
        layers: tuple[int, int],
        feedforward: int,
        dropout: float,
        levels: int,
        sigmoid_objects: bool,
        refine: bool,
    ) -> None:
        super().__init__()
        widths = dim, heads, feedforward, dropout, levels
        count = layers[1] if refine else 1  # of heads
        self.backbone = backbone
        self.pyramid = Pyramid(backbone.channels, dim, levels, centred=not refine)
        self.encoder = Encoder(encoder_layers(layers[0], *widths))
        self.queries = nn.Embedding(pairs, 2 * dim)
        self.points = nn.Linear(dim, 4 if refine else 2)
        self.decoder = Decoder(decoder_layers(layers[1], *widths))
        self.subject_boxes = BoxHeads(dim, count)
        self.object_boxes = BoxHeads(dim, count)
        self.classifier = LinearClassifier(dim, classes + (not sigmoid_objects), relations, count)
        self.sigmoid_objects = sigmoid_objects
        self.refine = refine
        nn.init.xavier_uniform_(self.points.weight)
        nn.init.zeros_(self.points.bias)

    def forward(
        self, images: Tensor, labels: Labels, padding: Tensor | None = None, given: PairBatch | None = None
    ) -> Output:
        """Predictions of every decoder layer.

        Args:
            images: B x 3 x H x W, normalised by the ImageNet statistics.
            labels: the model's own.
            padding: B x H x W, True where padded; None when nothing is.
            given: none, the model searches.
        """
        tokens = self.pyramid(self.backbone(images), padding)
        memory = Memory.of(tokens, self.encoder(tokens))
        positions, content = self.queries.weight.expand(len(images), -1, -1).chunk(2, -1)
        points = self.points(positions).sigmoid()
        if self.refine:
            return self._refine(memory, positions, content, points)
        predictions = []
        for k in range(len(self.decoder.layers)):
            content = self.decoder.step(k, content, positions, points, memory)
            boxes = self.subject_boxes(0, content, points), self.object_boxes(0, content, points)
            predictions.append(self._predict(0, content, boxes))
        return Output(predictions)

    def _refine(self, memory: Memory, positions: Tensor, content: Tensor, points: Tensor) -> Output:
        decoded = decode_pairs(
            self.decoder,
            self.subject_boxes,
            self.object_boxes,
            content,
            positions,
            (points[..., :2], points[..., 2:]),
            memory,
            supervised=True,
        )
        steps = zip(decoded.states, decoded.boxes, strict=True)
        return Output([self._predict(k, state, boxes) for k, (state, boxes) in enumerate(steps)])

    def _predict(self, head: int, state: Tensor, boxes: Boxes) -> Prediction:
        return Prediction(
            subject_boxes=boxes[0],
            object_boxes=boxes[1],
            subject_logits=None,
            object_logits=self.classifier.entities(head, state),
            relation_logits=self.classifier.relations(head, state),
            sigmoid_objects=self.sigmoid_objects,
        )
