// SPDX-License-Identifier: Apache-2.0
/* What the inventory must know of the contract, made once from the descriptors: which fields are indexed,
 * where references are, and who may refer to whom.
 *
 * Indexed are fields of kind REF, ANYREF, STRING and ENUM, and arrays of them, at the top level of a
 * resource. An index holds (value, id): the id of what is referred to, the number of an enum's name, or a
 * keyed hash of a text.
 *
 * References that are checked are fields of kind REF, at any depth. A weak one must name something when it is
 * set, but does not hold it: the target may go and leave the reference behind. ANYREF fields may outlive what
 * they name; history is not in memory and can be named freely.
 *
 * Threads: constant after it was made; counted. */
#pragma once
#include "base/clock.h"
#include "model/type.h"

typedef struct InvRefPlan InvRefPlan; /* where in a struct references are */

/* An index of `from` through which objects of another type are referred to. */
typedef struct {
  const WsType *from;
  guint index;
} InvIncoming;

typedef struct {
  const WsType *type;
  bool in_memory; /* no history */
  guint n_indexes;
  const WsField **indexes;
  guint n_incoming;
  InvIncoming *incoming;
  InvRefPlan *refs;
  bool has_refs; /* perhaps: there is a place for one */
} InvTypePlan;

typedef struct {
  gint ref_count;
  guint64 seed[2];    /* of the hash: nobody outside can make texts collide */
  InvTypePlan *types; /* by type->index */
  GHashTable *ref_plans;
} InvPlan;

InvPlan *inv_plan_new(WsClock *clock);
InvPlan *inv_plan_ref(InvPlan *plan);
void inv_plan_unref(InvPlan *plan);

/* Position of a field among the indexes of its type; asserts that it is indexed. */
guint inv_plan_index(const InvPlan *plan, const WsType *type, const WsField *field);

/* Appends the index values (guint64) of an object's field; none when it is absent. */
void inv_plan_values(const InvPlan *plan, const WsField *field, const void *object, GArray *values);
/* The same for a field that is no array; false when it is absent. */
bool inv_plan_scalar(const InvPlan *plan, const WsField *field, const void *object, guint64 *value);
/* The index value to look for; 0 with false when no object can have it. */
bool inv_plan_value(const InvPlan *plan, const WsField *field, WsId ref, const char *text, guint64 *value);
/* Two texts may share a value: whether the object really has this one. Always true for other kinds. */
bool inv_plan_has_text(const WsField *field, const void *object, const char *text);

typedef struct {
  WsId id;
  const WsType *target;
  guint nth; /* in the order of the walk: inv_plan_ref_path() */
  bool kept; /* among the referrers: no index leads to it, and it is not weak */
} InvRef;
/* Appends all checked references of an object, sorted by id. object NULL: none. */
void inv_plan_refs(const InvPlan *plan, const WsType *type, const void *object, GArray *refs);
/* "disks[1].volume": where the nth reference is; caller frees. */
char *inv_plan_ref_path(const InvPlan *plan, const WsType *type, const void *object, guint nth);
