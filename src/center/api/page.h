// SPDX-License-Identifier: Apache-2.0
/* One page of a list on its way to the client. A short one is one answer. A long one is a stream: a worker writes a piece of it while the
 * I/O thread encrypts the piece before, and waits while enough is on the way; so a list of 50,000 objects takes one piece of memory
 * and not all of them, and a client that reads slowly costs a snapshot. */
#pragma once
#include "center/api/call-private.h"

typedef struct {
  const WsType *type;
  InvSnapshot *snap;  /* owned; keeps the objects alive. NULL: history, whose objects belong to the array */
  GPtrArray *objects; /* owned */
  WsFieldSet *fields; /* owned; NULL: all */
  Revision revision;
  gint64 total;       /* how many there are in all; -1: not said */
  char *next_cursor;  /* owned; NULL: the last page */
} Page;

/* Answers the call. Takes the call, and what the page owns. On a worker or the I/O thread. */
void page_answer(ApiCall *call, const Page *page);
