"""One file a command: options, words and exit codes; the work is elsewhere."""
