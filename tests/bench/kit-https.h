// SPDX-License-Identifier: Apache-2.0
/* The benches' own HTTPS client: HTTP/1.1 over one kept connection, as cheap as a client can be, so that what is measured is the server.
 * Blocking; whatever goes wrong ends the program. One owner, any thread. */
#pragma once
#include <glib.h>

typedef struct Https Https;

/* Connects to 127.0.0.1; `token` is sent as bearer with every request. */
Https *https_open(const char *ca_file, guint16 port, const char *token);
void https_close(Https *https);
int https_fd(const Https *https); /* readable: an answer has come, or begins to */
/* Sends a request; body NULL: none. */
void https_send(Https *https, const char *method, const char *path, const char *body);
/* Reads the whole answer and returns its status. body (may be NULL) is set to what it carries. */
int https_receive(Https *https, GString *body);

double kit_now_us(void);         /* monotonic */
double kit_process_cpu_us(void); /* user and system, all threads */
double kit_percentile(double *values, guint n, double p); /* sorts them */
G_GNUC_NORETURN void kit_fail(const char *format, ...) G_GNUC_PRINTF(1, 2);
