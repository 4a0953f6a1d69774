"""Where the files of a data set come from: one kind of source a module."""
