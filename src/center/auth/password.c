// SPDX-License-Identifier: Apache-2.0
/* Passwords are hashed with argon2id on a worker: 30 to 50 ms of work must not stop the core loop, nor hold up those who wait for another worker: they have
 * workers of their own. */
#include "center/auth/auth-private.h"
#include "base/hash.h"

#define HASH_TIMEOUT_MS 30000

typedef struct {
  WsClock *clock;
  char *password;
  char *hash; /* in: to verify against; out: made */
  bool fits;
} HashJob;

static void hash_job_free(void *arg)
{
  HashJob *job = arg;
  ws_secret_free(job->password);
  g_free(job->hash);
  g_free(job);
}

static bool make_hash(void *arg, GError **error)
{
  HashJob *job = arg;
  job->hash = ws_password_hash(job->clock, job->password, error);
  return job->hash != NULL;
}

static bool check_hash(void *arg, GError **error)
{
  HashJob *job = arg;
  job->fits = ws_password_verify(job->password, job->hash);
  return true;
}

char *auth_hash_password(Center *center, const char *password, GError **error)
{
  HashJob *job = g_new0(HashJob, 1);
  job->clock = center->clock;
  job->password = g_strdup(password);
  if (!ws_co_blocking(center->passwords, make_hash, job, hash_job_free, HASH_TIMEOUT_MS, error))
    return NULL;
  char *hash = g_steal_pointer(&job->hash);
  hash_job_free(job);
  return hash;
}

bool auth_password_fits(Center *center, const char *password, const char *hash, bool *fits, GError **error)
{
  HashJob *job = g_new0(HashJob, 1);
  job->password = g_strdup(password);
  job->hash = g_strdup(hash);
  if (!ws_co_blocking(center->passwords, check_hash, job, hash_job_free, HASH_TIMEOUT_MS, error))
    return false;
  *fits = job->fits;
  hash_job_free(job);
  return true;
}
