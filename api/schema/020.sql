UPDATE "sites" SET body = json_set(body, '$.bin_days', json('30')) WHERE json_type(body, '$.bin_days') IS NULL;
UPDATE "sites" SET body = json_set(body, '$.pool_warning_percent', json('80')) WHERE json_type(body, '$.pool_warning_percent') IS NULL;
UPDATE "sites" SET body = json_set(body, '$.pool_critical_percent', json('90')) WHERE json_type(body, '$.pool_critical_percent') IS NULL;
UPDATE "volumes" SET body = json_set(body, '$.bin_held', json('true')) WHERE json_type(body, '$.in_bin_since') IS NOT NULL AND json_type(body, '$.used_by') IS NULL;
