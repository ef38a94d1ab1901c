// SPDX-License-Identifier: Apache-2.0
/* The audit log: one record for each mutating call, chained by hashes so that tampering shows.
 *
 * chain(n) = SHA-256(chain(n-1) || the record's fields in order). Records enter a transaction with audit_append(); the chain is
 * advanced there, in order, on the core loop. When a transaction fails the caller says so with audit_failed() and the chain
 * falls back to the last durable record. Core loop only. */
#pragma once
#include "center/center.h"
#include "model/model.h"

AuditLog *audit_new(Center *center, GError **error);
void audit_free(AuditLog *log);
/* Takes the record (time and chain are filled in here) into the transaction. */
void audit_append(AuditLog *log, InvTxn *txn, WsAuditRecord *record);
void audit_done(AuditLog *log);   /* the transaction of the oldest open append is durable */
void audit_failed(AuditLog *log); /* it is not */
/* Walks the whole chain; false with the first record that does not fit. Blocking: worker. */
bool audit_verify(Center *center, guint64 *n_records, GError **error);
