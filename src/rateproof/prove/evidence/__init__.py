"""Evidence: the requests that show a claim to be false, as a sentence, drawings and a document."""

from rateproof.prove.evidence.document import Document, is_document, to_document
from rateproof.prove.evidence.drawing import DRAWING_WIDTH

__all__ = ["DRAWING_WIDTH", "Document", "is_document", "to_document"]
