/* What config*.c share while one configuration is built; for no other file. */
#ifndef SRT_ENGINE_CONFIG_BUILD_H
#define SRT_ENGINE_CONFIG_BUILD_H

#include "base/buf.h"
#include "codec/json.h"
#include "engine/config.h"
#include "engine/provider.h"

#define SRT_CONFIG_PLACE_MAX 240
#define SRT_CONFIG_OWNER_MAX 128
#define SRT_CONFIG_WORDS_MAX 64
#define SRT_CONFIG_GROUPS_MAX 8
#define SRT_CONFIG_GROUP_LEN 32

struct srt_config_build {
    struct srt_config *config;
    const struct srt_json *doc;
    const struct srt_lookup *lookup;
    struct secretrt_error *err;
    const char *owner; /* the object that is being read: "vault.auth"; "": the root */
    /* Where the value at hand is from, for messages: `line 3, column 5: "address" in
     * "vault"`, or BAO_ADDR. */
    char place[SRT_CONFIG_PLACE_MAX];
};

/* Known words, for a suggestion. Those past the ceiling are left out. */
struct srt_config_words {
    const char *word[SRT_CONFIG_WORDS_MAX];
    size_t n;
    char group[SRT_CONFIG_GROUPS_MAX][SRT_CONFIG_GROUP_LEN];
    size_t groups;
};

void srt_config_word(struct srt_config_words *words, const char *word);
/* ERR_CONFIG: `BEGIN "word"END: did you mean "x"?`, or a few of the known ones. */
int srt_config_unknown(struct secretrt_error *err, const char *begin, const char *word,
                       const char *end, const struct srt_config_words *words);

/* ERR_CONFIG: "PLACE: " and the message. */
int srt_config_bad(struct srt_config_build *build, const char *format, ...)
    SRT_PRINTF(2, 3);
/* 0 where the text is not empty and holds no control character; else ERR_CONFIG. */
int srt_config_plain(struct srt_config_build *build, const char *text, size_t len);
/* A path, "~/" put in full. 0, ERR_CONFIG, ERR_NOMEM. */
int srt_config_path(struct srt_config_build *build, struct srt_buf *out,
                    const char *text);
/* HOME, or NULL. */
const char *srt_config_home(const struct srt_config_build *build);
/* An https URL, or http to this host; without the slashes at its end. */
int srt_config_url(struct srt_config_build *build, struct srt_buf *out,
                   const char *text);
/* A duration over 0. */
int srt_config_duration(struct srt_config_build *build, int64_t *out_ms,
                        const char *text);
/* Appends to a list of texts; takes text, also where it fails. 0 or ERR_NOMEM. */
int srt_config_push(struct srt_config_build *build, char ***list, size_t *n,
                    char *text);

/* An empty value of the setting in store: 0, ERR_CONFIG (given twice), ERR_NOMEM. */
int srt_config_value(struct srt_store_value **out, struct srt_config_build *build,
                     struct srt_store_config *store, const struct srt_setting *setting,
                     const char *origin);
/* Checks one text by the value's type and adds it. */
int srt_config_value_add(struct srt_config_build *build, struct srt_store_value *value,
                         const char *text, size_t len);

/* A node's key; "" where it has none, or one with a NUL inside, which is no known one.
 */
const char *srt_config_key(const struct srt_config_build *build, srt_json_ref node);
/* Puts where the node is, under the key of keyed, into build->place. */
void srt_config_place(struct srt_config_build *build, srt_json_ref keyed,
                      srt_json_ref node);
/* ERR_CONFIG unless the node is of the type: "must be WHAT". */
int srt_config_want(struct srt_config_build *build, srt_json_ref node,
                    enum srt_json_type type, const char *what);
int srt_config_unknown_key(struct srt_config_build *build, srt_json_ref node,
                           const struct srt_config_words *words);
/* Adds each text of an array, or the one text. */
typedef int srt_config_add_fn(struct srt_config_build *build, const char *text,
                              size_t len, void *out);
int srt_config_each(struct srt_config_build *build, srt_json_ref node,
                    srt_config_add_fn *add, void *out);

/* All that the text says. */
int srt_config_read_root(struct srt_config_build *build);
/* A store for each provider with settings and for each entry of "stores". */
int srt_config_read_stores(struct srt_config_build *build);
/* What the text left open: the environment, then the defaults. */
int srt_config_complete(struct srt_config_build *build);

#endif
