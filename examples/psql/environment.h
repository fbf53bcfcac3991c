/* The environment of the program: without what opens a store, with the memory files. */
#ifndef WRAP_ENVIRONMENT_H
#define WRAP_ENVIRONMENT_H

#include "handover.h"

/* NULL: out of memory. environment_free. */
char **environment_make(const struct handover *handover,
                        const struct secretrt_value *value);
/* The same for a command of the user's: no memory files. */
char **environment_plain(const struct secretrt_value *value);
void environment_free(char **environment);

#endif
