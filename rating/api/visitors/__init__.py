"""What the service keeps of the console's visitors, and how it asks the gateway on their behalf."""
