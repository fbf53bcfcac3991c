/* Where psql connects to: what goes into the service file, and for which places the
 * password file holds a line. */
#ifndef WRAP_TARGET_H
#define WRAP_TARGET_H

#include "options.h"

#include <stddef.h>

#define TARGET_PLACES_MAX 16
#define TARGET_PLACE_LEN 320
#define TARGET_SERVICE_LEN 2048

struct target {
    char service[TARGET_SERVICE_LEN]; /* "host=...\nport=...\n": no user, no password */
    char place[TARGET_PLACES_MAX]
              [TARGET_PLACE_LEN]; /* "host:port:database:", escaped */
    size_t places;
};

/* 0, or -1 after one line on stderr. */
int target_read(struct target *out, const struct wrap_options *options);

#endif
