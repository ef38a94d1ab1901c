// SPDX-License-Identifier: Apache-2.0
/* Scenarios of tests/scenario: a snapshot, what is asked, what is expected, why. A key that nobody asked for is an error, so that no expectation is
 * passed over because its name is misspelled. */
#pragma once
#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

/* Ends the test with the scenario's name and reason. */
void scenario_fail(const char *format, ...) G_GNUC_PRINTF(1, 2) G_GNUC_NORETURN;
/* Values of an object, or the default where there is none. */
json_t *scenario_get(json_t *object, const char *key); /* NULL: none */
gint64 scenario_int(json_t *object, const char *key, gint64 preset);
double scenario_number(json_t *object, const char *key, double preset);
bool scenario_bool(json_t *object, const char *key, bool preset);
const char *scenario_text(json_t *object, const char *key, const char *preset);
/* The key is one of these. */
void scenario_keys(json_t *object, const char *const *keys);
/* Number of the element of an array whose "name" this is. */
guint scenario_index(json_t *array, const char *name);

void scenario_place(json_t *scenario);
void scenario_move(json_t *scenario);
void scenario_cpu(json_t *scenario);
void scenario_assign(json_t *scenario);
void scenario_balance(json_t *scenario);
void scenario_one_more(json_t *scenario); /* VM in a cluster: where to */
void scenario_defrag(json_t *scenario);
void scenario_rules(json_t *scenario);   /* affinity rules: DRS */
void scenario_storage(json_t *scenario); /* pools and disks: storage DRS */
