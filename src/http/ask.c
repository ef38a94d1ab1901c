// SPDX-License-Identifier: Apache-2.0
/* See ask.h. */
#include "http/ask.h"
#include "base/error.h"
#include <curl/curl.h>
#include <string.h>

typedef struct {
  GString *body;
  gsize max_bytes;
} Taken;

bool http_is_https_url(const char *url)
{
  g_autoptr(GUri) uri = url ? g_uri_parse(url, G_URI_FLAGS_NONE, NULL) : NULL;
  return uri && strcmp(g_uri_get_scheme(uri), "https") == 0 && g_uri_get_host(uri) && *g_uri_get_host(uri) && !g_uri_get_userinfo(uri) &&
         !g_uri_get_fragment(uri);
}

static size_t on_body(char *bytes, size_t size, size_t n, void *arg)
{
  Taken *taken = arg;
  if (taken->body->len + size * n > taken->max_bytes)
    return 0;
  g_string_append_len(taken->body, bytes, (gssize)(size * n));
  return size * n;
}

/* Only the CAs given, not the system's too. */
static void trust(CURL *curl, const char *ca_pem)
{
  struct curl_blob blob = {(void *)ca_pem, strlen(ca_pem), CURL_BLOB_COPY};
  curl_easy_setopt(curl, CURLOPT_CAINFO, NULL);
  curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
  curl_easy_setopt(curl, CURLOPT_CAINFO_BLOB, &blob);
}

static void set_common(CURL *curl, const HttpQuestion *question, Taken *taken, char *why)
{
  curl_easy_setopt(curl, CURLOPT_URL, question->url);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
  curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
  curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
  curl_easy_setopt(curl, CURLOPT_PROXY, "");
  curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)question->timeout_s);
  curl_easy_setopt(curl, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)question->max_bytes);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, taken);
  if (question->ca_pem)
    trust(curl, question->ca_pem);
  if (question->form)
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, question->form);
}

static struct curl_slist *header_list(const HttpQuestion *question)
{
  struct curl_slist *list = curl_slist_append(NULL, "Accept: application/json");
  list = curl_slist_append(list, "Expect:");
  if (question->authorization) {
    g_autofree char *line = g_strconcat("Authorization: ", question->authorization, NULL);
    list = curl_slist_append(list, line);
  }
  return list;
}

static bool failed(const HttpQuestion *question, const char *cause, GError **error)
{
  g_autofree char *path = g_strndup(question->url, strcspn(question->url, "?"));
  return ws_fail(error, WS_ERROR_IO_ERROR, "path", path, "cause", cause, NULL);
}

bool http_ask(const HttpQuestion *question, RestAnswer *answer, GError **error)
{
  char why[CURL_ERROR_SIZE] = "";
  rest_answer_clear(answer);
  if (!http_is_https_url(question->url))
    return failed(question, "it is no https URL", error);
  answer->body = g_string_new(NULL);
  Taken taken = {answer->body, question->max_bytes};
  CURL *curl = curl_easy_init();
  struct curl_slist *list = header_list(question);
  set_common(curl, question, &taken, why);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
  CURLcode code = curl_easy_perform(curl);
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer->status);
  curl_slist_free_all(list);
  curl_easy_cleanup(curl);
  if (code == CURLE_OK)
    return true;
  if (code == CURLE_WRITE_ERROR || code == CURLE_FILESIZE_EXCEEDED)
    return failed(question, "the answer is too large", error);
  return failed(question, *why ? why : curl_easy_strerror(code), error);
}
