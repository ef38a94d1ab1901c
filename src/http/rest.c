// SPDX-License-Identifier: Apache-2.0
/* See rest.h. */
#include "http/rest.h"
#include "base/error.h"
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_MAX        (64 << 20)
#define CONNECT_TIMEOUT_S 10
#define STALL_S           60 /* a transfer that moves nothing for so long has failed */

typedef struct {
  RestAnswer *answer;
  int fd; /* download to, upload from; -1: neither */
  bool upload;
  gint64 offset, done, total;
  RestProgress progress;
  void *arg;
  CURL *curl;
  bool too_large;
} Exchange;

void rest_answer_clear(RestAnswer *answer)
{
  if (answer->body)
    g_string_free(answer->body, TRUE);
  g_free(answer->etag);
  *answer = (RestAnswer){0};
}

static bool is_success(CURL *curl)
{
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  return status >= 200 && status < 300;
}

static size_t write_to_file(Exchange *x, const char *bytes, size_t n)
{
  for (size_t put = 0; put < n;) {
    gssize k = pwrite(x->fd, bytes + put, n - put, x->offset + x->done);
    if (k < 0 && errno != EINTR)
      return 0;
    if (k > 0) {
      put += (size_t)k;
      x->done += k;
    }
  }
  return !x->progress || x->progress(x->offset + x->done, x->total, x->arg) ? n : 0;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *arg)
{
  Exchange *x = arg;
  if (x->fd >= 0 && !x->upload && is_success(x->curl))
    return write_to_file(x, bytes, size * n);
  x->too_large = x->answer->body->len + size * n > ANSWER_MAX;
  if (x->too_large)
    return 0;
  g_string_append_len(x->answer->body, bytes, (gssize)(size * n));
  return size * n;
}

static size_t on_header(char *bytes, size_t size, size_t n, void *arg)
{
  Exchange *x = arg;
  g_autofree char *line = g_strndup(bytes, size * n);
  if (g_ascii_strncasecmp(line, "etag:", 5) == 0) {
    g_free(x->answer->etag);
    x->answer->etag = g_strdup(g_strstrip(line + 5));
  } else if (g_ascii_strncasecmp(line, "content-length:", 15) == 0 && x->fd >= 0 && !x->upload) {
    x->total = x->offset + g_ascii_strtoll(line + 15, NULL, 10);
  }
  return size * n;
}

static size_t on_read(char *buffer, size_t size, size_t n, void *arg)
{
  Exchange *x = arg;
  gssize got = pread(x->fd, buffer, size * n, x->offset + x->done);
  if (got < 0)
    return CURL_READFUNC_ABORT;
  x->done += got;
  if (x->progress && !x->progress(x->offset + x->done, x->total, x->arg))
    return CURL_READFUNC_ABORT;
  return (size_t)got;
}

/* Dials the URL's host, but asks for and checks the name that every manager's certificate has. */
static bool set_address(CURL *curl, const RestPeer *peer, const char *path, struct curl_slist **connect_to,
                        GError **error)
{
  g_autoptr(GUri) uri = g_uri_parse(peer->url, G_URI_FLAGS_NONE, NULL);
  if (!uri || g_strcmp0(g_uri_get_scheme(uri), "https") != 0 || !g_uri_get_host(uri))
    return ws_fail(error, WS_ERROR_BAD_VALUE, "field", "manager", "expected", "https://name:port", NULL);
  int port = g_uri_get_port(uri) > 0 ? g_uri_get_port(uri) : 443;
  const char *host = g_uri_get_host(uri);
  const char *left = strchr(host, ':') ? "[" : "", *right = *left ? "]" : "";
  g_autofree char *url = peer->ca_file
                             ? g_strdup_printf("https://%s:%d%s", REST_MANAGER_NAME, port, path)
                             : g_strdup_printf("https://%s%s%s:%d%s", left, host, right, port, path);
  g_autofree char *to = g_strdup_printf("%s:%d:%s%s%s:%d", REST_MANAGER_NAME, port, left, host, right, port);
  if (peer->ca_file)
    *connect_to = curl_slist_append(NULL, to);
  curl_easy_setopt(curl, CURLOPT_URL, url);
  curl_easy_setopt(curl, CURLOPT_CONNECT_TO, *connect_to);
  return true;
}

static struct curl_slist *header_list(const RestPeer *peer, const char *const *headers, const char *body)
{
  struct curl_slist *list = curl_slist_append(NULL, "Expect:");
  if (peer->token) {
    g_autofree char *line = g_strconcat("Authorization: Bearer ", peer->token, NULL);
    list = curl_slist_append(list, line);
  }
  if (peer->language) {
    g_autofree char *line = g_strconcat("Accept-Language: ", peer->language, NULL);
    list = curl_slist_append(list, line);
  }
  if (body)
    list = curl_slist_append(list, "Content-Type: application/json");
  for (; headers && *headers; headers++)
    list = curl_slist_append(list, *headers);
  return list;
}

static void set_common(CURL *curl, const RestPeer *peer, const char *method, Exchange *x, char *why)
{
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
  curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
  curl_easy_setopt(curl, CURLOPT_PROXY, "");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)STALL_S);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, x);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, x);
  curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, peer->ca_file ? 1L : 0L);
  curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, peer->ca_file ? 2L : 0L);
  if (peer->ca_file)
    curl_easy_setopt(curl, CURLOPT_CAINFO, peer->ca_file);
}

static bool finish(CURLcode code, const RestPeer *peer, const Exchange *x, const char *why, GError **error)
{
  const char *cause = *why ? why : curl_easy_strerror(code);
  if (code == CURLE_OK)
    return true;
  if (x->too_large)
    return ws_fail(error, WS_ERROR_TOO_LARGE, "limit", "64 MiB", NULL);
  if (code == CURLE_ABORTED_BY_CALLBACK || code == CURLE_WRITE_ERROR)
    return ws_fail(error, WS_ERROR_CANCELLED, "cause", cause, NULL);
  if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
      code == CURLE_SSL_CERTPROBLEM)
    return ws_fail(error, WS_ERROR_CERTIFICATE_REFUSED, "reason", cause, NULL);
  return ws_fail(error, WS_ERROR_MANAGER_UNREACHABLE, "url", peer->url, "cause", cause, NULL);
}

static bool exchange(const RestPeer *peer, const char *method, const char *path, const char *const *headers,
                     const char *body, Exchange *x, GError **error)
{
  char why[CURL_ERROR_SIZE] = "";
  struct curl_slist *connect_to = NULL;
  CURL *curl = x->curl = curl_easy_init();
  rest_answer_clear(x->answer);
  x->answer->body = g_string_new(NULL);
  if (!set_address(curl, peer, path, &connect_to, error)) {
    curl_easy_cleanup(curl);
    return false;
  }
  struct curl_slist *list = header_list(peer, headers, body);
  set_common(curl, peer, method, x, why);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
  if (body)
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
  if (x->upload) {
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(curl, CURLOPT_READDATA, x);
    curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)(x->total - x->offset));
  }
  CURLcode code = curl_easy_perform(curl);
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &x->answer->status);
  curl_slist_free_all(list);
  curl_slist_free_all(connect_to);
  curl_easy_cleanup(curl);
  return finish(code, peer, x, why, error);
}

bool rest_call(const RestPeer *peer, const char *method, const char *path, const char *const *headers,
               const char *body, RestAnswer *answer, GError **error)
{
  Exchange x = {.answer = answer, .fd = -1};
  return exchange(peer, method, path, headers, body, &x, error);
}

bool rest_upload(const RestPeer *peer, const char *path, int fd, gint64 offset, gint64 total,
                 RestProgress progress, void *arg, RestAnswer *answer, GError **error)
{
  Exchange x = {.answer = answer,
                .fd = fd,
                .upload = true,
                .offset = offset,
                .total = total,
                .progress = progress,
                .arg = arg};
  return exchange(peer, "PUT", path, NULL, NULL, &x, error);
}

bool rest_download(const RestPeer *peer, const char *path, int fd, gint64 offset, RestProgress progress,
                   void *arg, RestAnswer *answer, GError **error)
{
  g_autofree char *range = g_strdup_printf("Range: bytes=%" G_GINT64_FORMAT "-", offset);
  const char *headers[] = {offset > 0 ? range : NULL, NULL};
  Exchange x = {.answer = answer, .fd = fd, .offset = offset, .progress = progress, .arg = arg};
  return exchange(peer, "GET", path, headers, NULL, &x, error);
}
