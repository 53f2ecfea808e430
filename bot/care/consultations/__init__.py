"""A question in doctors' hands: what it is (`rows`), where it may go (`states`), who is asked and when it moves on
(`ladder`), what patients do (`asking`) and what doctors do (`answering`)."""
