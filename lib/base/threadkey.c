#include "base/threadkey.h"
#include "base/status.h"

int srt_thread_key_init(struct srt_thread_key *key, void (*leave)(void *value))
{
    return pthread_key_create(&key->key, leave) == 0 ? 0 : SECRETRT_ERR_NOMEM;
}

int srt_thread_key_set(struct srt_thread_key *key, void *value)
{
    return pthread_setspecific(key->key, value) == 0 ? 0 : SECRETRT_ERR_NOMEM;
}
