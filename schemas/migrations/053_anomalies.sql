-- 053: of an anomaly, the numbers by which it is one. Other alerts have none, so rows of before stay as they are.

ALTER TABLE {database}.usage_alerts {on_cluster}
    ADD COLUMN IF NOT EXISTS body String DEFAULT '{}' COMMENT 'JSON: of an anomaly what was expected, how odd the day is, and the days before';
