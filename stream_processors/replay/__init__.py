"""Processing data a second time: replaying rejected events, and metering a range of offsets again."""
