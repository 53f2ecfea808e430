"""The phone page, the page of calls, and what keeps them live."""
