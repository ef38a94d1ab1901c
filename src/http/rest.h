// SPDX-License-Identifier: Apache-2.0
/* A blocking client of the manager's REST API, for programs that are not servers (winctl, a host that joins). libcurl beneath.
 *
 * The peer is trusted by the site's CA and the name that is in every manager's certificate, not by the address dialled. HTTPS only; no
 * proxies, no redirects. Threads: one peer, one thread. */
#pragma once
#include <glib.h>
#include <stdbool.h>

#define REST_MANAGER_NAME "winsphere-manager" /* in the certificate of every manager */

typedef struct {
  const char *url;      /* https://name[:port] */
  const char *ca_file;  /* NULL: the peer is not checked; then nothing secret may be said */
  const char *token;    /* bearer token, or NULL */
  const char *language; /* for Accept-Language, or NULL */
} RestPeer;

typedef struct {
  long status;
  GString *body;
  char *etag; /* or NULL */
} RestAnswer;
void rest_answer_clear(RestAnswer *answer);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(RestAnswer, rest_answer_clear)

/* path begins with "/". body NULL: none; content type JSON. headers: "name: value", NULL-ended, or NULL. true: there is an answer, whatever its
 * status. WS_ERROR_HOST_UNREACHABLE, WS_ERROR_CERTIFICATE_REFUSED, WS_ERROR_TOO_LARGE (64 MiB). */
bool rest_call(const RestPeer *peer, const char *method, const char *path, const char *const *headers, const char *body,
               RestAnswer *answer, GError **error);

/* done and total in bytes; return false to stop. */
typedef bool (*RestProgress)(gint64 done, gint64 total, void *arg);
/* PUT of the fd's bytes from `offset` on (file offset), total to the end of the file. */
bool rest_upload(const RestPeer *peer, const char *path, int fd, gint64 offset, gint64 total, RestProgress progress, void *arg,
                 RestAnswer *answer, GError **error);
/* GET into the fd from `offset` on (Range). An answer of 4xx/5xx goes to answer->body instead. */
bool rest_download(const RestPeer *peer, const char *path, int fd, gint64 offset, RestProgress progress, void *arg,
                   RestAnswer *answer, GError **error);
