-- Legal numbers of invoices, as usage.checkpoints gives them (schemas/invoice_numbers.py).

CREATE TABLE IF NOT EXISTS {database}.invoice_numbers {on_cluster}
(
    namespace LowCardinality(String),
    invoice_id String,
    rank UInt64,
    number String
)
ENGINE = {engine:ReplacingMergeTree}
ORDER BY (namespace, invoice_id)
COMMENT 'gapless in a namespace: rank 1, 2, …; number as it is printed';
