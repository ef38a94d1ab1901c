UPDATE "users" SET body = json_remove(body, '$.locked_until');
