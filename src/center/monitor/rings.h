// SPDX-License-Identifier: Apache-2.0
/* Measured values of many objects over time, in files of fixed size ("round robin", as RRDtool's and Whisper's; the steps are those that vCenter keeps):
 *
 *     20 s for an hour · 5 min for a day · 30 min for a week · 2 h for a month · a day for a year
 *
 * A file holds RINGS_SLOTS objects of one kind. A step of all of them lies together, so each 20 s one piece is written, whatever their number; one
 * object's history is read in as many small pieces as it has steps. A coarser step is the mean of the finer ones, made when it is over.
 *
 * A step counts once it is on the disk and its time has been noted after it, so after a crash the last ones may be missing, and none shows what
 * was there before it. A place that an object leaves goes to another, whose history begins then.
 *
 * Threads: any; one at a time is served. Blocks: on workers only. */
#pragma once
#include "base/id.h"

#define RINGS_COLUMNS 12   /* values of an object; what its kind does not use is there for later */
#define RINGS_SLOTS   4096 /* objects in a file */
#define RINGS_LEVELS  5
#define RINGS_ROWS_MAX 372

typedef struct Rings Rings;

typedef struct {
  WsId id;
  float values[RINGS_COLUMNS]; /* NaN: not known */
} RingsSample;

typedef struct {
  gint64 from_us; /* of the first step; wall clock */
  gint64 step_us;
  guint n;        /* steps */
  float (*values)[RINGS_COLUMNS]; /* n of them; NaN where nothing is known */
} RingsSeries;

/* The rings of one kind of object: files dir/KIND-0.ring, ... A file that is not ours or is damaged is put aside as KIND-0.ring.bad, and begun
 * anew. WS_ERROR_IO_ERROR. */
Rings *rings_open(const char *dir, const char *kind, GError **error);
void rings_free(Rings *rings);

/* Takes the step that ends at `now_us`: all objects that exist, each once; the places of others are free from now on. A second call within a
 * step replaces the first. WS_ERROR_IO_ERROR: a file could not be written (the disk is full), its step is missing. */
bool rings_take(Rings *rings, gint64 now_us, const RingsSample *samples, guint n, GError **error);

/* What is known of an object between two times, in the finest steps that are kept since from_us. No values: n is 0, or all are NaN. The caller
 * frees series->values. */
bool rings_read(Rings *rings, WsId id, gint64 now_us, gint64 from_us, gint64 to_us, RingsSeries *series, GError **error);
