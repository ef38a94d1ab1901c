UPDATE "users" SET body = json_set(body, '$.kind', json('"person"')) WHERE json_type(body, '$.kind') IS NULL;
