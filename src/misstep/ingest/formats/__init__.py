"""One file a log format; each holds a `FORMAT`. `misstep.ingest.FORMATS` lists them."""
