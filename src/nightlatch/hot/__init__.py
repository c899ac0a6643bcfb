"""From the bytes of an Authorization header to who it is: the path that every request takes."""
