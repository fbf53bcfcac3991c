/* Which tier each secret of a process is on, and the shares against the targets. */
#ifndef SRT_OBSERVE_INVENTORY_H
#define SRT_OBSERVE_INVENTORY_H

#include "base/buf.h"
#include "engine/config.h"
#include "engine/engine.h"

#define SRT_TIERS 4

struct srt_inventory {
    struct srt_buf rows; /* of the table, or elements of the JSON array */
    int json;
    unsigned count[SRT_TIERS + 1]; /* by tier; 0: nothing live */
    unsigned total;
};

void srt_inventory_init(struct srt_inventory *inventory, int json);
/* A srt_status_fn: data is the inventory. */
void srt_inventory_add(const struct srt_status *status, void *data);
void srt_inventory_write(struct srt_buf *out, const struct srt_inventory *inventory);
void srt_inventory_wipe(struct srt_inventory *inventory);

/* The configuration in effect as JSON, each setting with its origin. */
void srt_config_report(struct srt_buf *out, const struct srt_config *config);

#endif
