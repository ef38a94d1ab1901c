// SPDX-License-Identifier: Apache-2.0
/* The audit log: one record for each mutating call, chained by hashes so that tampering shows.
 *
 * chain(n) = SHA-256(chain(n-1) || the record's fields in order). A record gets its chain when it joins the line to the disk, so the chain
 * is that of the disk whatever fails before or there. Retention takes whole beginnings away and first writes a record that says up to which record
 * and what its chain was: the rest still proves itself. Who can write the database could write the whole chain anew; against that somebody notes
 * a record's id and chain elsewhere and gives them to a later check.
 *
 * Core loop, unless said otherwise. */
#pragma once
#include "center/center.h"
#include "model/model.h"

/* Takes the inventory's seal of audit records. NULL with error. */
AuditLog *audit_new(Center *center, GError **error);
void audit_free(AuditLog *log);
/* Takes the record (its time and chain are filled in) into the transaction. */
void audit_append(AuditLog *log, InvTxn *txn, WsAuditRecord *record);
/* Of a task that the manager begins by itself: TaskCause.enrich, so that the record is in the task's first transaction. */
typedef struct {
  AuditLog *log;
  const char *user, *operation; /* operation: the verb that people would use; its risk, too */
  WsAnyRef object;
  const char *name;
  WsAuditRecordRisk risk;
  const char *request_id;
} AuditBegun;
void audit_begun(InvTxn *txn, WsId task, void *begun);
char *audit_chain_of(const char *previous, const WsAuditRecord *record); /* any thread; caller frees */

typedef struct {
  const char *record, *chain; /* noted elsewhere; NULL: none */
  const char *last;           /* chain that some record must have: the last that is known to be written. NULL or "": none */
} AuditExpected;

typedef struct {
  gint64 n_records;
  char oldest[WS_ID_TEXT_MAX], newest[WS_ID_TEXT_MAX], expired[WS_ID_TEXT_MAX]; /* "": none */
  char *chain; /* of the newest; NULL: none */
} AuditVerdict;
void audit_verdict_clear(AuditVerdict *verdict);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(AuditVerdict, audit_verdict_clear)

/* Walks the whole chain. WS_ERROR_AUDIT_BROKEN with the record that does not fit. Blocks: any thread but the loop's. */
bool audit_verify(Store *store, const AuditExpected *expected, AuditVerdict *verdict, GError **error);

/* Takes away what is older than config.audit_keep_days, in portions. In a coroutine, now and then. */
void audit_expire(Center *center);

/* For audit.c, verify.c and expire.c. */
typedef struct {
  WsId id;
  char *chain;
} AuditCut; /* everything up to this record was, or is being, taken away */
bool audit_cut_of(const WsAuditRecord *record, AuditCut *cut); /* does the record say so? Caller frees cut->chain */
char *audit_cut_text(WsId id, const char *chain);
#define AUDIT_CUT_OPERATION "audit_expire"

struct AuditLog {
  Center *center;
  char *durable; /* chain of the last record on disk; "" at the beginning */
  char *head;    /* chain of the last record sealed */
  guint readers; /* who walks the chain now: nothing is taken away meanwhile ... */
  bool cutting;  /* ... and the other way round */
  gint64 next_expiry_us;
};
