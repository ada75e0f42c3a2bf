"""The local ClickHouse: chDB behind ClickHouse's HTTP interface, in one small process."""
