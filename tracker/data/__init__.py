"""Pictures and masks as files: the one reader of each."""
