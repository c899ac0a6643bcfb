"""What else an API could ask who a request is from, served by the same granian."""
