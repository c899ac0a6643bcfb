"""The console in Debian's Chromium, on real servers: each story as its people go through it."""
