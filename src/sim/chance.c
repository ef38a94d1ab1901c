// SPDX-License-Identifier: Apache-2.0
/* OpenSSL draws from the seed too: keys, serials and signatures of a run are the same each time. Nothing of it leaves the simulator. */
#define OPENSSL_SUPPRESS_DEPRECATED /* RAND_METHOD: the only way below a library context */
#include "sim/chance.h"
#include "sim/world.h"
#include <openssl/rand.h>

static SimRandom random_of_crypto;

static int draw(unsigned char *buf, int n)
{
  for (int i = 0; i < n; i++)
    buf[i] = (unsigned char)sim_random(&random_of_crypto);
  return 1;
}

static int is_seeded(void)
{
  return 1;
}

void sim_chance_of_crypto(guint64 seed)
{
  static const RAND_METHOD method = {.bytes = draw, .pseudorand = draw, .status = is_seeded};
  sim_random_seed(&random_of_crypto, seed, 6000);
  RAND_set_rand_method(&method);
}
