"""Commands of billing: closing, invoices, credits, late usage, prices, webhooks."""
