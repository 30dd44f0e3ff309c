"""Page images with gold transcriptions, as sessions of three messages.

In: an image and what should be read on it. Out: a session: the instruction, the image, the gold as
the logged answer. What the formats of pages share stands here; each format is a file in `formats`.
"""

from misstep.ingest.pages.beside import (
    IMAGES,
    METADATA,
    below,
    bytes_of,
    composed,
    image_beside,
    left_out,
    pdf_beside,
    read,
)
from misstep.ingest.pages.gold import schema_text
from misstep.ingest.pages.page import INSTRUCTION, Place, family_of, file_gold, page, row_gold

__all__ = [
    "IMAGES",
    "INSTRUCTION",
    "METADATA",
    "Place",
    "below",
    "bytes_of",
    "composed",
    "family_of",
    "file_gold",
    "image_beside",
    "left_out",
    "page",
    "pdf_beside",
    "read",
    "row_gold",
    "schema_text",
]
