// SPDX-License-Identifier: Apache-2.0
/* See kit-https.h. */
#include "kit-https.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

struct Https {
  SSL *ssl;
  int fd;
  char *token;
  GString *out;
  char buffer[32768]; /* what has come of an answer */
  gsize n;
};

void kit_fail(const char *format, ...)
{
  va_list args;
  va_start(args, format);
  vfprintf(stderr, format, args);
  va_end(args);
  fputc('\n', stderr);
  exit(1);
}

static SSL_CTX *context_of(const char *ca_file)
{
  static SSL_CTX *context;
  if (context)
    return context;
  context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
  SSL_CTX_set_read_ahead(context, 1);
  if (SSL_CTX_load_verify_file(context, ca_file) != 1)
    kit_fail("cannot read %s", ca_file);
  return context;
}

Https *https_open(const char *ca_file, guint16 port, const char *token)
{
  Https *https = g_new0(Https, 1);
  struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int one = 1;
  https->token = g_strdup(token);
  https->out = g_string_new(NULL);
  https->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (https->fd < 0 || connect(https->fd, (struct sockaddr *)&address, sizeof address) < 0)
    kit_fail("connect to port %u: %m", port);
  setsockopt(https->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  https->ssl = SSL_new(context_of(ca_file));
  SSL_set_fd(https->ssl, https->fd);
  if (SSL_connect(https->ssl) != 1)
    kit_fail("TLS handshake with port %u failed", port);
  return https;
}

void https_close(Https *https)
{
  SSL_free(https->ssl);
  close(https->fd);
  g_string_free(https->out, TRUE);
  g_free(https->token);
  g_free(https);
}

int https_fd(const Https *https)
{
  return https->fd;
}

void https_send(Https *https, const char *method, const char *path, const char *body)
{
  g_string_printf(https->out, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n", method, path, https->token);
  if (body)
    g_string_append_printf(https->out, "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(body));
  g_string_append(https->out, "\r\n");
  g_string_append(https->out, body ? body : "");
  if (SSL_write(https->ssl, https->out->str, (int)https->out->len) != (int)https->out->len)
    kit_fail("%s %s: cannot send", method, path);
}

static void read_more(Https *https)
{
  int n = SSL_read(https->ssl, https->buffer + https->n, (int)(sizeof https->buffer - 1 - https->n));
  if (n <= 0)
    kit_fail("the server broke off");
  https->n += (gsize)n;
  https->buffer[https->n] = '\0';
}

int https_receive(Https *https, GString *body)
{
  const char *end, *length;
  https->n = 0;
  do
    read_more(https);
  while (!(end = strstr(https->buffer, "\r\n\r\n")));
  int status = (int)strtol(https->buffer + strlen("HTTP/1.1 "), NULL, 10);
  length = strcasestr(https->buffer, "\r\ncontent-length:");
  gsize head_n = (gsize)(end + 4 - https->buffer);
  gsize body_n = length && length < end ? strtoul(length + strlen("\r\ncontent-length:"), NULL, 10) : 0;
  if (head_n + body_n >= sizeof https->buffer)
    kit_fail("an answer of %zu bytes is too long", body_n);
  while (https->n < head_n + body_n)
    read_more(https);
  if (body) {
    g_string_truncate(body, 0);
    g_string_append_len(body, https->buffer + head_n, (gssize)body_n);
  }
  return status;
}

static double seconds_us(clockid_t clock)
{
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

double kit_now_us(void)
{
  return seconds_us(CLOCK_MONOTONIC);
}

double kit_process_cpu_us(void)
{
  return seconds_us(CLOCK_PROCESS_CPUTIME_ID);
}

static int compare_doubles(const void *a, const void *b)
{
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

double kit_percentile(double *values, guint n, double p)
{
  qsort(values, n, sizeof *values, compare_doubles);
  return values[(guint)((n - 1) * p)];
}
