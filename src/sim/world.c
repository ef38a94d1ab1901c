// SPDX-License-Identifier: Apache-2.0
/* The world's time, chance and record. See world.h. */
#include "sim/world.h"
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

/* 2026-01-01T00:00:00Z: where every world begins. */
#define BEGIN_WALL_US (G_GINT64_CONSTANT(1767225600) * G_USEC_PER_SEC)
#define TURN_US_MAX 20

struct SimEvent {
  gint64 due_us;
  guint64 number;
  void (*func)(void *arg); /* NULL: cancelled */
  void *arg;
};

struct SimWorld {
  guint64 seed;
  gint64 now_us; /* since the beginning */
  SimRandom random;
  GPtrArray *machines;
  GPtrArray *events; /* binary heap of SimEvent */
  guint64 n_events, n_steps;
  guint64 hash;
  bool show;
  char *failure;
  sigjmp_buf death;
  SimMachine *dying; /* the one whose program may die now */
  bool ready_to_die;
};

typedef struct {
  SimMachine machine;
  void (*died)(void *arg);
  void *arg;
} Mortal;

/* ---- chance ---- */

static guint64 rotate(guint64 x, int k)
{
  return (x << k) | (x >> (64 - k));
}

/* splitmix64: spreads a seed over the state, as the authors of xoshiro advise. */
static guint64 spread(guint64 *x)
{
  guint64 z = (*x += G_GUINT64_CONSTANT(0x9E3779B97F4A7C15));
  z = (z ^ (z >> 30)) * G_GUINT64_CONSTANT(0xBF58476D1CE4E5B9);
  z = (z ^ (z >> 27)) * G_GUINT64_CONSTANT(0x94D049BB133111EB);
  return z ^ (z >> 31);
}

void sim_random_seed(SimRandom *random, guint64 seed, guint64 stream)
{
  guint64 x = seed * G_GUINT64_CONSTANT(0xD1342543DE82EF95) + stream;
  for (guint i = 0; i < 4; i++)
    random->state[i] = spread(&x);
}

guint64 sim_random(SimRandom *random)
{
  guint64 *s = random->state, result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = rotate(s[3], 45);
  return result;
}

guint64 sim_below(SimRandom *random, guint64 n)
{
  g_assert(n > 0);
  return sim_random(random) % n; /* the bias is of no matter here */
}

gint64 sim_between(SimRandom *random, gint64 least, gint64 most)
{
  return least + (gint64)sim_below(random, (guint64)(most - least) + 1);
}

bool sim_chance(SimRandom *random, double probability)
{
  return (double)(sim_random(random) >> 11) * 0x1p-53 < probability;
}

gint64 sim_delay(SimRandom *random, gint64 usual_us, gint64 most_us)
{
  return sim_chance(random, 0.05) ? sim_between(random, usual_us, MAX(usual_us, most_us))
                                  : sim_between(random, usual_us / 2, usual_us * 3 / 2);
}

/* ---- machines ---- */

static gint64 machine_wall(WsClock *clock)
{
  SimMachine *machine = (SimMachine *)clock;
  gint64 now = machine->world->now_us;
  return BEGIN_WALL_US + now + machine->wall_offset_us + (gint64)((double)now * machine->drift);
}

static gint64 machine_monotonic(WsClock *clock)
{
  return ((SimMachine *)clock)->world->now_us;
}

static void machine_random(WsClock *clock, void *buf, gsize n)
{
  SimMachine *machine = (SimMachine *)clock;
  for (guint8 *at = buf; n > 0;) {
    guint64 word = sim_random(&machine->random);
    gsize part = MIN(n, sizeof word);
    memcpy(at, &word, part);
    at += part;
    n -= part;
  }
}

/* A loop that is stepped by its own program (at start) waits: only its own timers count then. */
static void machine_wait(WsClock *clock, gint64 until_us)
{
  SimMachine *machine = (SimMachine *)clock;
  if (until_us == G_MAXINT64)
    g_error("simulator: %s waits for something that never comes", machine->name);
  machine->world->now_us = MAX(machine->world->now_us, until_us);
}

SimMachine *sim_machine_new(SimWorld *world, const char *name)
{
  Mortal *mortal = g_new0(Mortal, 1);
  SimMachine *machine = &mortal->machine;
  *machine = (SimMachine){.clock = {machine_wall, machine_monotonic, machine_random, machine_wait},
                          .world = world,
                          .name = g_strdup(name),
                          .loops = g_ptr_array_new()};
  sim_random_seed(&machine->random, world->seed, sim_hash(name, strlen(name)));
  g_ptr_array_add(world->machines, machine);
  return machine;
}

void sim_machine_run(SimMachine *machine, WsLoop *loop)
{
  g_ptr_array_add(machine->loops, loop);
}

void sim_machine_stop(SimMachine *machine, WsLoop *loop)
{
  g_ptr_array_remove(machine->loops, loop);
}

void sim_machine_set_died(SimMachine *machine, void (*died)(void *arg), void *arg)
{
  ((Mortal *)machine)->died = died;
  ((Mortal *)machine)->arg = arg;
}

void sim_die(SimMachine *machine)
{
  g_assert(machine->world->dying == machine);
  siglongjmp(machine->world->death, 1);
}

bool sim_survives(SimMachine *machine, void (*func)(void *arg), void *arg)
{
  SimWorld *world = machine->world;
  g_assert(!world->dying);
  world->dying = machine;
  bool alive = sigsetjmp(world->death, 0) == 0;
  if (alive)
    func(arg);
  machine->world->dying = NULL;
  return alive;
}

/* ---- the world ---- */

SimWorld *sim_world_new(guint64 seed)
{
  SimWorld *world = g_new0(SimWorld, 1);
  world->seed = seed;
  world->hash = seed;
  world->machines = g_ptr_array_new();
  world->events = g_ptr_array_new();
  sim_random_seed(&world->random, seed, 0);
  return world;
}

gint64 sim_now_us(SimWorld *world)
{
  return world->now_us;
}

SimRandom *sim_world_random(SimWorld *world)
{
  return &world->random;
}

guint64 sim_world_seed(SimWorld *world)
{
  return world->seed;
}

guint64 sim_world_steps(SimWorld *world)
{
  return world->n_steps;
}

static bool is_before(const SimEvent *a, const SimEvent *b)
{
  return a->due_us != b->due_us ? a->due_us < b->due_us : a->number < b->number;
}

static void swap_events(SimWorld *world, guint i, guint j)
{
  void *t = world->events->pdata[i];
  world->events->pdata[i] = world->events->pdata[j];
  world->events->pdata[j] = t;
}

SimEvent *sim_after(SimWorld *world, gint64 delay_us, void (*func)(void *arg), void *arg)
{
  SimEvent *event = g_new(SimEvent, 1);
  *event = (SimEvent){world->now_us + MAX(delay_us, 0), world->n_events++, func, arg};
  g_ptr_array_add(world->events, event);
  for (guint i = world->events->len - 1;
       i > 0 && is_before(world->events->pdata[i], world->events->pdata[(i - 1) / 2]); i = (i - 1) / 2)
    swap_events(world, i, (i - 1) / 2);
  return event;
}

void sim_cancel(SimEvent *event)
{
  if (event)
    event->func = NULL;
}

static SimEvent *pop_event(SimWorld *world)
{
  GPtrArray *heap = world->events;
  SimEvent *first = heap->pdata[0];
  heap->pdata[0] = heap->pdata[heap->len - 1];
  g_ptr_array_set_size(heap, (gint)heap->len - 1);
  for (guint i = 0;;) {
    guint least = i;
    for (guint child = 2 * i + 1; child <= 2 * i + 2 && child < heap->len; child++)
      if (is_before(heap->pdata[child], heap->pdata[least]))
        least = child;
    if (least == i)
      return first;
    swap_events(world, i, least);
    i = least;
  }
}

/* What could run now: loops that are ready, and the next event. */
typedef struct {
  SimMachine *machine;
  WsLoop *loop; /* NULL: the event */
} Choice;

static gint64 look_at_loops(SimWorld *world, GArray *ready, gint64 next)
{
  for (guint i = 0; i < world->machines->len; i++) {
    SimMachine *machine = world->machines->pdata[i];
    for (guint j = 0; !machine->paused && j < machine->loops->len; j++) {
      Choice choice = {machine, machine->loops->pdata[j]};
      gint64 due = ws_loop_next_us(choice.loop);
      if (due <= world->now_us)
        g_array_append_val(ready, choice);
      else
        next = MIN(next, due);
    }
  }
  return next;
}

static void step_loop(void *arg)
{
  ws_loop_step(arg, 0);
}

static void run_choice(SimWorld *world, const Choice *choice)
{
  if (!choice->loop) {
    SimEvent *event = pop_event(world);
    if (event->func)
      event->func(event->arg);
    g_free(event);
    return;
  }
  SimMachine *machine = choice->machine;
  if (!sim_survives(machine, step_loop, choice->loop)) {
    ws_loop_leave_turn(choice->loop);
    ((Mortal *)machine)->died(((Mortal *)machine)->arg);
  }
}

void sim_world_run(SimWorld *world, gint64 duration_us, SimEach each, void *arg)
{
  gint64 until = world->now_us + duration_us;
  g_autoptr(GArray) ready = g_array_new(FALSE, FALSE, sizeof(Choice));
  while (!world->failure) {
    g_array_set_size(ready, 0);
    gint64 event_due = world->events->len ? ((SimEvent *)world->events->pdata[0])->due_us : G_MAXINT64;
    gint64 next = look_at_loops(world, ready, event_due);
    if (event_due <= world->now_us) {
      Choice choice = {NULL, NULL};
      g_array_append_val(ready, choice);
    }
    if (ready->len == 0) {
      if (next >= until) {
        world->now_us = MAX(world->now_us, until);
        return;
      }
      world->now_us = next;
      continue;
    }
    Choice choice = g_array_index(ready, Choice, ready->len > 1 ? sim_below(&world->random, ready->len) : 0);
    world->n_steps++;
    run_choice(world, &choice);
    world->now_us += (gint64)sim_below(&world->random, TURN_US_MAX);
    if ((each && !each(arg)) || world->now_us >= until)
      return;
  }
}

/* ---- the record ---- */

/* Not for hash tables of strangers: fast, and the same everywhere (of one byte order). */
guint64 sim_hash(const void *bytes, gsize n)
{
  const guint8 *at = bytes;
  guint64 h = n * G_GUINT64_CONSTANT(0x9E3779B97F4A7C15) + 1, word;
  for (; n >= 8; at += 8, n -= 8) {
    memcpy(&word, at, 8);
    h = rotate(h ^ (word * G_GUINT64_CONSTANT(0xBF58476D1CE4E5B9)), 29) * G_GUINT64_CONSTANT(0x94D049BB133111EB);
  }
  word = 0;
  memcpy(&word, at, n);
  h = (h ^ word) * G_GUINT64_CONSTANT(0xBF58476D1CE4E5B9);
  return h ^ (h >> 32);
}

static void take_into_record(SimWorld *world, guint64 value)
{
  world->hash = rotate(world->hash ^ value, 23) * G_GUINT64_CONSTANT(0x9E3779B97F4A7C15);
}

void sim_note(SimWorld *world, const char *format, ...)
{
  char line[1024];
  va_list list;
  va_start(list, format);
  gint n = g_vsnprintf(line, sizeof line, format, list);
  va_end(list);
  take_into_record(world, (guint64)world->now_us);
  take_into_record(world, sim_hash(line, (gsize)MIN(n, (gint)sizeof line - 1)));
  if (world->show)
    printf("%10.6f %s\n", (double)world->now_us / 1e6, line);
}

void sim_note_bytes(SimWorld *world, const char *what, const void *bytes, gsize n)
{
  guint64 hash = sim_hash(bytes, n);
  take_into_record(world, (guint64)world->now_us);
  take_into_record(world, hash);
  if (world->show)
    printf("%10.6f %s %" G_GSIZE_FORMAT " bytes %016" G_GINT64_MODIFIER "x\n", (double)world->now_us / 1e6, what, n, hash);
}

guint64 sim_world_hash(SimWorld *world)
{
  return world->hash;
}

void sim_world_show(SimWorld *world, bool show)
{
  world->show = show;
}

void sim_fail(SimWorld *world, const char *invariant, const char *format, ...)
{
  if (world->failure)
    return;
  va_list list;
  va_start(list, format);
  g_autofree char *text = g_strdup_vprintf(format, list);
  va_end(list);
  world->failure = g_strdup_printf("%s: %s", invariant, text);
  sim_note(world, "BROKEN %s", world->failure);
}

const char *sim_failure(SimWorld *world)
{
  return world->failure;
}
