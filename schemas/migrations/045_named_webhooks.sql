-- 045: a namespace may have several webhooks. What is queued for each is a row of its own; rows of before are of the one without a name.

ALTER TABLE {database}.webhook_deliveries {on_cluster}
    ADD COLUMN IF NOT EXISTS webhook String COMMENT 'code of the webhook; empty: the one without a name',
    MODIFY ORDER BY (namespace, message_id, replay, webhook);
