/* The seam to the world: everything the engine can't compute comes through this table.
 * secretrt_open builds the real one (io/), tests a fake one with a scripted wire. */
#ifndef SRT_BASE_ENV_H
#define SRT_BASE_ENV_H

#include <stddef.h>
#include <stdint.h>

struct srt_transfer; /* engine/wire.h */

struct srt_env {
    void *self;
    int64_t (*boot_ms)(void *self); /* counts suspended time, never steps */
    int64_t (*wall_ms)(void *self); /* Unix time */
    void (*random)(void *self, void *out, size_t len); /* of cryptographic quality */
    /* Begins one exchange and returns at once; the transfer's done() follows on the
     * engine's own thread, never from within send. 0, or a status when it could not
     * begin (then done() does not follow). */
    int (*send)(void *self, struct srt_transfer *transfer);
    /* Gives a transfer up: its done() will not be called any more. */
    void (*abort)(void *self, struct srt_transfer *transfer);
};

#endif
