"""Evidence: the requests that show a claim to be false, as a sentence, drawings and a document."""

from rateproof.prove.claims import OVER_ADMISSION, WRONG_REJECTION
from rateproof.prove.evidence.document import Document, is_document, to_document
from rateproof.prove.evidence.evidence import DRAWING_WIDTH, MOST_EVIDENCE, Evidence, Witness
from rateproof.prove.wording import readable_key

__all__ = [
    "DRAWING_WIDTH",
    "MOST_EVIDENCE",
    "OVER_ADMISSION",
    "WRONG_REJECTION",
    "Document",
    "Evidence",
    "Witness",
    "is_document",
    "readable_key",
    "to_document",
]
