"""Evidence: the requests that show a claim to be false, as a sentence, drawings and a document."""

from rateproof.prove.evidence.document import Document, is_document, to_document
from rateproof.prove.evidence.drawing import Witness
from rateproof.prove.evidence.piece import DRAWING_WIDTH, MOST_EVIDENCE, Evidence

__all__ = [
    "DRAWING_WIDTH",
    "MOST_EVIDENCE",
    "Document",
    "Evidence",
    "Witness",
    "is_document",
    "to_document",
]
