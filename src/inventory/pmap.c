// SPDX-License-Identifier: Apache-2.0
/* The persistent ordered map as a B+tree. See pmap.h for what it promises, README.md for why this form.
 *
 * A node is a header, then its keys, then its pointers: children in an inner node, values in a leaf, none in
 * a set's leaf. An inner node's key[i] is a lower bound of what is under child[i] and above all that is under
 * child[i-1]; its key[0] is never read, so a smaller key can go down on the left without changing it. An
 * inner node has at least two children, a leaf at least one key; all but those at the right edge have
 * FAN_MIN.
 *
 * Changing: own() makes a node private before it is written. A node with one reference, reached through nodes
 * with one reference each, is reached by this handle alone, and nobody can begin to reach it meanwhile; so a
 * count of one, read once from the top down, is enough to write in place. */
#include "inventory/pmap.h"
#include <string.h>

/* Slots of a full node. Chosen by measuring: README.md has the table. */
#ifndef PMAP_FAN
#define PMAP_FAN 32
#endif
#define FAN_MIN (PMAP_FAN / 4) /* below it, a node takes from or joins a neighbour */
#define GRAIN   4              /* node sizes are multiples of so many slots */

struct PmapNode {
  gint ref_count;
  guint8 height; /* 0: leaf */
  guint8 set;    /* a leaf without pointers */
  guint16 n, room;
  PmapKey key[]; /* room keys, then room pointers */
};

static inline const void **pointers(const PmapNode *node)
{
  return (const void **)(node->key + node->room);
}

static inline PmapNode *child(const PmapNode *node, guint i)
{
  return (PmapNode *)pointers(node)[i];
}

static gsize node_bytes(guint room, bool set)
{
  return sizeof(PmapNode) + room * (sizeof(PmapKey) + (set ? 0 : sizeof(void *)));
}

static PmapNode *node_new(guint8 height, bool set, guint n)
{
  guint room = (n + GRAIN - 1) / GRAIN * GRAIN;
  PmapNode *node = g_malloc(node_bytes(room, set));

  node->ref_count = 1;
  node->height = height;
  node->set = set;
  node->n = n;
  node->room = room;
  return node;
}

static inline PmapNode *node_ref(PmapNode *node)
{
  g_atomic_int_inc(&node->ref_count);
  return node;
}

static void node_unref(const PmapValues *values, PmapNode *node)
{
  if (!g_atomic_int_dec_and_test(&node->ref_count))
    return;
  if (node->height > 0)
    for (guint i = 0; i < node->n; i++)
      node_unref(values, child(node, i));
  else if (!node->set)
    for (guint i = 0; i < node->n; i++)
      values->unref(pointers(node)[i]);
  g_free(node);
}

/* Slots [from, from + n) of `src` to [to, to + n) of `dst`; counts are the caller's business. */
static void move_slots(PmapNode *dst, guint to, const PmapNode *src, guint from, guint n)
{
  memmove(dst->key + to, src->key + from, n * sizeof(PmapKey));
  if (!src->set)
    memmove(pointers(dst) + to, pointers(src) + from, n * sizeof(void *));
}

/* A node that this handle alone reaches, with at least `room` slots, in place of `node` (whose reference is
 * taken). */
static PmapNode *own(const PmapValues *values, PmapNode *node, guint room)
{
  bool alone = g_atomic_int_get(&node->ref_count) == 1;
  PmapNode *copy;

  if (alone && node->room >= room)
    return node;
  copy = node_new(node->height, node->set, MAX(room, node->n));
  copy->n = node->n;
  move_slots(copy, 0, node, 0, node->n);
  if (alone) { /* only grown: the counts move with the slots */
    g_free(node);
    return copy;
  }
  if (node->height > 0)
    for (guint i = 0; i < node->n; i++)
      node_ref(child(node, i));
  else if (!node->set)
    for (guint i = 0; i < node->n; i++)
      values->ref(pointers(node)[i]);
  node_unref(values, node);
  return copy;
}

/* First slot of a leaf whose key is >= key; n when there is none. */
static guint lower_bound(const PmapNode *leaf, PmapKey key)
{
  guint low = 0, high = leaf->n;

  while (low < high) {
    guint mid = (low + high) / 2;
    if (pmap_key_compare(leaf->key[mid], key) < 0)
      low = mid + 1;
    else
      high = mid;
  }
  return low;
}

/* The child under which the key belongs: the last whose bound is <= key. */
static guint child_index(const PmapNode *node, PmapKey key)
{
  guint low = 1, high = node->n;

  while (low < high) {
    guint mid = (low + high) / 2;
    if (pmap_key_compare(node->key[mid], key) <= 0)
      low = mid + 1;
    else
      high = mid;
  }
  return low - 1;
}

void pmap_init(Pmap *map, const PmapValues *values)
{
  *map = (Pmap){.values = values};
}

Pmap pmap_copy(const Pmap *map)
{
  if (map->root)
    node_ref(map->root);
  return *map;
}

void pmap_clear(Pmap *map)
{
  if (map->root)
    node_unref(map->values, map->root);
  map->root = NULL;
  map->count = 0;
}

/* The leaf and slot of a key, or NULL. */
static const PmapNode *find(const Pmap *map, PmapKey key, guint *slot)
{
  const PmapNode *node = map->root;

  if (!node)
    return NULL;
  while (node->height > 0)
    node = child(node, child_index(node, key));
  *slot = lower_bound(node, key);
  return *slot < node->n && pmap_key_compare(node->key[*slot], key) == 0 ? node : NULL;
}

const void *pmap_get(const Pmap *map, PmapKey key)
{
  guint slot;
  const PmapNode *leaf = find(map, key, &slot);

  return leaf ? pointers(leaf)[slot] : NULL;
}

bool pmap_has(const Pmap *map, PmapKey key)
{
  guint slot;

  return find(map, key, &slot) != NULL;
}

/* ---- putting ---- */

static PmapNode *insert_slot(const PmapValues *values, PmapNode *node, guint at, PmapKey key,
                             const void *pointer)
{
  node = own(values, node, node->n + 1);
  move_slots(node, at + 1, node, at, node->n - at);
  node->key[at] = key;
  if (!node->set)
    pointers(node)[at] = pointer;
  node->n++;
  return node;
}

/* Cuts a full, owned node in two and returns the right part. Growth at the right edge of the tree leaves the
 * left part full: ids only grow, so the usual new object comes there. */
static PmapNode *split(PmapNode *node, bool growth)
{
  guint keep = !growth ? node->n / 2 : node->height > 0 ? node->n - 1 : node->n;
  PmapNode *right = node_new(node->height, node->set, node->n - keep);

  move_slots(right, 0, node, keep, right->n);
  node->n = keep;
  return right;
}

/* Puts under `node`, which is at the right `edge` of the tree or not. When it had to be cut, *right is the
 * new neighbour. Returns what replaces `node`. */
static PmapNode *put(const PmapValues *values, PmapNode *node, PmapKey key, const void *value, bool edge,
                     bool *is_new, PmapNode **right)
{
  PmapNode *added = NULL;
  guint at;

  *right = NULL;
  if (node->height > 0) {
    node = own(values, node, node->n);
    at = child_index(node, key);
    edge = edge && at == node->n - 1u;
    pointers(node)[at] = put(values, child(node, at), key, value, edge, is_new, &added);
    if (!added)
      return node;
    key = added->key[0];
    value = added;
    at++;
  } else {
    at = lower_bound(node, key);
    *is_new = at == node->n || pmap_key_compare(node->key[at], key) != 0;
    if (!*is_new) {
      if (node->set)
        return node;
      node = own(values, node, node->n);
      values->ref(value);
      values->unref(pointers(node)[at]);
      pointers(node)[at] = value;
      return node;
    }
    if (!node->set)
      values->ref(value);
  }

  if (node->n < PMAP_FAN)
    return insert_slot(values, node, at, key, value);
  node = own(values, node, node->n);
  *right = split(node, edge && at == node->n);
  if (at > node->n || (*right)->n == 0)
    *right = insert_slot(values, *right, at - node->n, key, value);
  else
    node = insert_slot(values, node, at, key, value);
  return node;
}

bool pmap_put(Pmap *map, PmapKey key, const void *value)
{
  bool set = map->values->ref == NULL, is_new = false;
  PmapNode *right, *top;

  g_assert(set == (value == NULL));
  if (!map->root)
    map->root = node_new(0, set, 0);
  map->root = put(map->values, map->root, key, value, true, &is_new, &right);
  if (right) {
    g_assert(map->root->height + 1 < PMAP_HEIGHT_MAX);
    top = node_new(map->root->height + 1, false, 2);
    top->key[0] = map->root->key[0];
    top->key[1] = right->key[0];
    pointers(top)[0] = map->root;
    pointers(top)[1] = right;
    map->root = top;
  }
  map->count += is_new;
  return is_new;
}

/* ---- removing ---- */

static void drop_slot(PmapNode *node, guint at)
{
  move_slots(node, at, node, at + 1, node->n - at - 1);
  node->n--;
}

/* Child `i` of the owned node `parent` has become small: it joins its neighbour, or the two share evenly. */
static void refill(const PmapValues *values, PmapNode *parent, guint i)
{
  guint l = i > 0 ? i - 1 : 0, total, keep;
  PmapNode *left = child(parent, l), *right = child(parent, l + 1);

  total = left->n + right->n;
  keep = total <= PMAP_FAN ? total : total / 2;
  left = own(values, left, MAX(keep, left->n));
  right = own(values, right, MAX(total - keep, right->n));
  if (right->height > 0)
    right->key[0] = parent->key[l + 1]; /* it will be read now */
  if (keep > left->n) {
    guint n = keep - left->n;
    move_slots(left, left->n, right, 0, n);
    move_slots(right, 0, right, n, right->n - n);
  } else {
    guint n = left->n - keep;
    move_slots(right, n, right, 0, right->n);
    move_slots(right, 0, left, keep, n);
  }
  left->n = keep;
  right->n = total - keep;
  pointers(parent)[l] = left;
  pointers(parent)[l + 1] = right;
  if (right->n == 0) {
    g_free(right);
    drop_slot(parent, l + 1);
  } else {
    parent->key[l + 1] = right->key[0];
  }
}

/* Removes a key that is there. */
static PmapNode *remove_key(const PmapValues *values, PmapNode *node, PmapKey key)
{
  guint at;

  node = own(values, node, node->n);
  if (node->height == 0) {
    at = lower_bound(node, key);
    if (!node->set)
      values->unref(pointers(node)[at]);
    drop_slot(node, at);
    return node;
  }
  at = child_index(node, key);
  pointers(node)[at] = remove_key(values, child(node, at), key);
  if (child(node, at)->n < FAN_MIN)
    refill(values, node, at);
  return node;
}

bool pmap_remove(Pmap *map, PmapKey key)
{
  PmapNode *root;

  if (!pmap_has(map, key))
    return false;
  root = remove_key(map->values, map->root, key);
  if (root->height > 0 && root->n == 1) {
    map->root = child(root, 0);
    g_free(root);
  } else if (root->n == 0) {
    g_free(root);
    map->root = NULL;
  } else {
    map->root = root;
  }
  map->count--;
  return true;
}

/* ---- walking ---- */

void pmap_iter_init(PmapIter *iter, const Pmap *map, PmapKey from)
{
  const PmapNode *node = map->root;

  iter->height = -1;
  if (!node)
    return;
  iter->height = node->height;
  for (; node->height > 0; node = child(node, iter->at[node->height])) {
    iter->node[node->height] = node;
    iter->at[node->height] = child_index(node, from);
  }
  iter->node[0] = node;
  iter->at[0] = lower_bound(node, from);
}

/* From the end of a leaf to the first slot of the next one. */
static bool next_leaf(PmapIter *iter)
{
  int level = 1;

  while (level <= iter->height && iter->at[level] + 1 >= iter->node[level]->n)
    level++;
  if (level > iter->height) {
    iter->height = -1;
    return false;
  }
  iter->at[level]++;
  for (; level > 0; level--) {
    iter->node[level - 1] = child(iter->node[level], iter->at[level]);
    iter->at[level - 1] = 0;
  }
  return true;
}

bool pmap_iter_next(PmapIter *iter, PmapKey *key, const void **value)
{
  const PmapNode *leaf;

  if (iter->height < 0 || (iter->at[0] >= iter->node[0]->n && !next_leaf(iter)))
    return false;
  leaf = iter->node[0];
  *key = leaf->key[iter->at[0]];
  if (value)
    *value = leaf->set ? NULL : pointers(leaf)[iter->at[0]];
  iter->at[0]++;
  return true;
}

const void *pmap_iter_ahead(const PmapIter *iter, guint n)
{
  const PmapNode *leaf = iter->height < 0 ? NULL : iter->node[0];

  return leaf && !leaf->set && iter->at[0] + n < leaf->n ? pointers(leaf)[iter->at[0] + n] : NULL;
}

/* ---- measuring ---- */

/* `low` and `high`: bounds from above, NULL for none. No `high` means that the node is at the right edge. */
static gsize measure(const PmapNode *node, const PmapKey *low, const PmapKey *high)
{
  gsize bytes = node_bytes(node->room, node->set);

  g_assert(node->ref_count >= 1 && node->n <= node->room && node->n <= PMAP_FAN);
  g_assert(node->n >= (high ? FAN_MIN : node->height > 0 ? 2 : 1));
  for (guint i = node->height > 0; i < node->n; i++) {
    g_assert(i < 1u + (node->height > 0) || pmap_key_compare(node->key[i - 1], node->key[i]) < 0);
    g_assert(!low || pmap_key_compare(node->key[i], *low) >= 0);
    g_assert(!high || pmap_key_compare(node->key[i], *high) < 0);
  }
  for (guint i = 0; node->height > 0 && i < node->n; i++) {
    g_assert(child(node, i)->height + 1 == node->height);
    bytes += measure(child(node, i), i > 0 ? &node->key[i] : low, i + 1 < node->n ? &node->key[i + 1] : high);
  }
  return bytes;
}

gsize pmap_measure(const Pmap *map)
{
  return map->root ? measure(map->root, NULL, NULL) : 0;
}
