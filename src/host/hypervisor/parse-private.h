// SPDX-License-Identifier: Apache-2.0
/* What domain_parse.c and device_parse.c share while one domain's XML is read. */
#pragma once
#include "host/hypervisor/domain.h"

typedef struct {
  const VirtHost *host;
  const xmlNode *root;
  const xmlNode *note;  /* our <ws:vm> in <metadata>, or NULL */
  VirtDomain *domain;   /* what comes out */
  WsVmSpec *spec;       /* its spec */
  GHashTable *keys;     /* keys taken, char * */
} VirtReading;

/* Reads <devices> into the spec, the blockers and the taps. */
void virt_read_devices(VirtReading *r);
/* Adds a line to the blockers. */
void virt_read_block(VirtReading *r, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Value of an enum by its name (names as in WsField), or 0. */
int virt_read_name(const char *const *names, const char *name);
