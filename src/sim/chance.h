// SPDX-License-Identifier: Apache-2.0
/* Chance in libraries that have their own. */
#pragma once
#include <glib.h>

void sim_chance_of_crypto(guint64 seed); /* of the whole process, from now on */
