"""The way from what was seen to the verdict: of a whole log, of each key, of a document."""
