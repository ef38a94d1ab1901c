// SPDX-License-Identifier: Apache-2.0
/* A persistent ordered map: 128-bit keys to pointers, in which old versions stay as they were.
 *
 * A handle (Pmap) is a root pointer and a count. Copying a handle costs one reference; changing one handle
 * leaves every other as it was, because the nodes on the way to the change are copied, unless this handle
 * alone reaches them: then they are changed in place, so that loading 50,000 objects or a transaction with
 * many rows does not copy again and again.
 *
 * Inside it is a B+tree. Nodes are as large as what they hold, to the next multiple of four slots.
 *
 * Two sorts of maps: with values (never NULL), each counted by the map's own functions, or sets, which keep
 * keys alone.
 *
 * Threads: any number may read handles that share nodes, and may copy and clear handles of their own;
 * counting is atomic. One handle belongs to one thread at a time. */
#pragma once
#include <glib.h>
#include <stdbool.h>

typedef struct {
  guint64 hi, lo;
} PmapKey;

static inline int pmap_key_compare(PmapKey a, PmapKey b)
{
  if (a.hi != b.hi)
    return a.hi < b.hi ? -1 : 1;
  return a.lo < b.lo ? -1 : a.lo > b.lo;
}

/* How a map holds its values; both may be called on any thread. ref NULL: the map is a set. */
typedef struct {
  void (*ref)(const void *value);
  void (*unref)(const void *value);
} PmapValues;

typedef struct PmapNode PmapNode;
typedef struct {
  PmapNode *root;           /* NULL: empty */
  const PmapValues *values; /* borrowed for ever */
  guint64 count;
} Pmap;

void pmap_init(Pmap *map, const PmapValues *values);
/* A second handle to the same contents: O(1). */
Pmap pmap_copy(const Pmap *map);
/* Gives up the handle; it is empty then and may be used again. */
void pmap_clear(Pmap *map);

/* Borrowed from the map; NULL when absent. Not for sets. */
const void *pmap_get(const Pmap *map, PmapKey key);
bool pmap_has(const Pmap *map, PmapKey key);
/* Puts `value` (the map takes a reference of its own) in place of what was there. Sets: value is NULL.
 * Returns true when the key is new. */
bool pmap_put(Pmap *map, PmapKey key, const void *value);
/* Returns false when the key was not there. */
bool pmap_remove(Pmap *map, PmapKey key);

/* A walk in order of keys over a handle that must not change meanwhile. Lives on the stack, holds nothing. */
#define PMAP_HEIGHT_MAX 24
typedef struct {
  const PmapNode *node[PMAP_HEIGHT_MAX]; /* [0] a leaf */
  guint16 at[PMAP_HEIGHT_MAX];
  gint8 height; /* -1: at the end */
} PmapIter;

/* Stands before the first key >= from. */
void pmap_iter_init(PmapIter *iter, const Pmap *map, PmapKey from);
/* false at the end. `value` may be NULL; a set's values are NULL. */
bool pmap_iter_next(PmapIter *iter, PmapKey *key, const void **value);
/* A value that will come after n more, where that is known without looking for it, else NULL: to be fetched from memory meanwhile. */
const void *pmap_iter_ahead(const PmapIter *iter, guint n);

/* Bytes of the nodes reachable from this handle, shared ones included: for measuring. Checks order and
 * balance as it goes. */
gsize pmap_measure(const Pmap *map);
