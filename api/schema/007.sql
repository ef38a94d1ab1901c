UPDATE "vms" SET body = json_set(body, '$.run_generation', json('0')) WHERE json_type(body, '$.run_generation') IS NULL;
