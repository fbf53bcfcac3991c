/* The two memory files by which psql learns who it is: a service file (host, port,
 * database, user) and a password file. Both can be read again and again, are on no
 * disk, and are kept current while psql runs. */
#ifndef WRAP_HANDOVER_H
#define WRAP_HANDOVER_H

#include "target.h"

#include <secretrt/secretrt.h>

#define HANDOVER_SLOTS 4 /* generations that the password file holds at once */

struct handover {
    const struct target *target;
    int password_fd, service_fd;   /* ours, to write */
    int password_ro, service_ro;   /* the program's: read-only */
    uint64_t slot[HANDOVER_SLOTS]; /* generation; 0: free */
    void *locked;                  /* keeps the password's pages out of swap */
};

/* 0, or -1 after one line on stderr. handover_close in any case. */
int handover_open(struct handover *out, const struct target *target);
void handover_close(struct handover *handover);

/* The credential that new connections use. Lines of earlier ones stay until they are
 * retired, or their place is needed. 0, or -1 with err filled. */
int handover_publish(struct handover *handover, const struct secretrt_value *value,
                     struct secretrt_error *err);
void handover_retire(struct handover *handover, uint64_t generation);

#endif
