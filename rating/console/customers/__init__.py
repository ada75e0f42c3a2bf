"""Pages of accounts, which are a company's customers."""
