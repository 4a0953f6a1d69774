"""A user's own labelled images: files of tensors or arrays, and folders of pictures."""
