UPDATE "sites" SET body = json_set(body, '$.backup_interval_hours', json('24')) WHERE json_type(body, '$.backup_interval_hours') IS NULL;
UPDATE "sites" SET body = json_set(body, '$.backup_keep', json('7')) WHERE json_type(body, '$.backup_keep') IS NULL;
