// SPDX-License-Identifier: Apache-2.0
/* The simulated world: its time, its chance, what is to happen when, and its record.
 *
 * One thread, one seed. Everything that happens is an event at a virtual time or a turn of a machine's loop; among what could happen at
 * the same time the seed chooses. Nothing in here depends on real time, addresses or other processes, so that the same seed gives the
 * same record (sim_note), bit for bit. Time passes only where nothing else can happen, and a little with each turn. */
#pragma once
#include "base/loop.h"

/* ---- chance: xoshiro256**, one stream for each use, so that a change in one leaves the others alone ---- */
typedef struct {
  guint64 state[4];
} SimRandom;
void sim_random_seed(SimRandom *random, guint64 seed, guint64 stream);
guint64 sim_random(SimRandom *random);
guint64 sim_below(SimRandom *random, guint64 n);                    /* 0 to n - 1; n > 0 */
gint64 sim_between(SimRandom *random, gint64 least, gint64 most);   /* both included */
bool sim_chance(SimRandom *random, double probability);
gint64 sim_delay(SimRandom *random, gint64 usual_us, gint64 most_us); /* mostly about usual_us, rarely up to most_us */

typedef struct SimWorld SimWorld;
typedef struct SimMachine SimMachine;
typedef struct SimEvent SimEvent;

/* ---- machines: a clock of their own, loops that run unless the machine is paused ---- */
struct SimMachine {
  WsClock clock; /* first: a WsClock * is a SimMachine * */
  SimWorld *world;
  char *name;
  SimRandom random;      /* what the machine's programs draw */
  gint64 wall_offset_us; /* its wall clock minus the world's */
  double drift;          /* of its wall clock, seconds per second */
  bool paused;
  GPtrArray *loops;      /* WsLoop, borrowed */
};
SimMachine *sim_machine_new(SimWorld *world, const char *name);
void sim_machine_run(SimMachine *machine, WsLoop *loop);  /* the world runs it from now on */
void sim_machine_stop(SimMachine *machine, WsLoop *loop); /* and no more */

/* ---- the world ---- */
SimWorld *sim_world_new(guint64 seed);
gint64 sim_now_us(SimWorld *world);
SimRandom *sim_world_random(SimWorld *world);
guint64 sim_world_seed(SimWorld *world);

/* Calls func(arg) in so much time; the order of what is due at the same moment is the order of asking. */
SimEvent *sim_after(SimWorld *world, gint64 delay_us, void (*func)(void *arg), void *arg);
void sim_cancel(SimEvent *event); /* NULL is fine; not after it has fired */

/* Runs for so long. `each` (may be NULL) is called after every step; false ends the run. */
typedef bool (*SimEach)(void *arg);
void sim_world_run(SimWorld *world, gint64 duration_us, SimEach each, void *arg);
/* In place of ws_loop_step(loop, 0) where the program on the loop may die: see sim_die(). */
guint64 sim_world_steps(SimWorld *world);

/* A machine's program ends at once, in the middle of what it does on its loop (a failed sync): the turn is left, and `died` of its machine
 * is called by the world. Does not return. */
G_NORETURN void sim_die(SimMachine *machine);
void sim_machine_set_died(SimMachine *machine, void (*died)(void *arg), void *arg);
/* Runs func(arg) outside of a turn, prepared for sim_die(): false when it died. */
bool sim_survives(SimMachine *machine, void (*func)(void *arg), void *arg);

/* ---- the record ---- */
/* What happened, as a line: into the hash, and shown where the run is told. */
void sim_note(SimWorld *world, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* The same for bytes: only their hash is shown. */
void sim_note_bytes(SimWorld *world, const char *what, const void *bytes, gsize n);
guint64 sim_hash(const void *bytes, gsize n);
guint64 sim_world_hash(SimWorld *world);
void sim_world_show(SimWorld *world, bool show); /* notes go to standard output */

/* An invariant is broken: the first one is kept, the run ends after the step. */
void sim_fail(SimWorld *world, const char *invariant, const char *format, ...) G_GNUC_PRINTF(3, 4);
const char *sim_failure(SimWorld *world); /* NULL: none */
