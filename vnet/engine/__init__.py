"""What one call of vnet does: plan, records, the way up and the way down."""
