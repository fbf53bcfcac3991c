#include "base/alloc.h"
#include "codec/text.h"
#include "engine/config_build.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define CONFIG_CHECK_NUMBER_MAX 1000000
#define CONFIG_CHECK_DURATION_MAX_MS (INT64_C(3660) * 24 * 3600 * 1000)
#define CONFIG_CHECK_LEN_MAX 4096
#define CONFIG_CHECK_HINTS 8 /* known words that a message names */

int srt_config_bad(struct srt_config_build *build, const char *format, ...)
{
    char message[sizeof(build->err->message)];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    return srt_fail(build->err, SECRETRT_ERR_CONFIG, "%s: %s", build->place,
                    n < 0 ? "" : message);
}

void srt_config_word(struct srt_config_words *words, const char *word)
{
    if (words->n < SRT_CONFIG_WORDS_MAX)
        words->word[words->n++] = word;
}

int srt_config_unknown(struct secretrt_error *err, const char *begin, const char *word,
                       const char *end, const struct srt_config_words *words)
{
    const char *near = srt_nearest(word, words->word, words->n);
    char clean[SRT_FOREIGN_MAX];
    char known[160] = "";
    size_t len = 0;
    size_t i;

    srt_text_clean(clean, sizeof(clean), word, strlen(word));
    if (near != NULL)
        return srt_fail(err, SECRETRT_ERR_CONFIG, "%s \"%s\"%s: did you mean \"%s\"?",
                        begin, clean, end, near);
    for (i = 0; i < words->n && i < CONFIG_CHECK_HINTS; i++) {
        int n = snprintf(known + len, sizeof(known) - len, "%s%s", i > 0 ? ", " : "",
                         words->word[i]);

        if (n < 0 || (size_t)n >= sizeof(known) - len)
            break;
        len += (size_t)n;
    }
    known[len] = '\0';
    return srt_fail(err, SECRETRT_ERR_CONFIG, "%s \"%s\"%s (known: %s%s)", begin, clean,
                    end, known, i < words->n ? ", ..." : "");
}

int srt_config_plain(struct srt_config_build *build, const char *text, size_t len)
{
    if (len == 0)
        return srt_config_bad(build, "must not be empty");
    if (len > CONFIG_CHECK_LEN_MAX)
        return srt_config_bad(build, "must not be longer than %d bytes",
                              CONFIG_CHECK_LEN_MAX);
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7F)
            return srt_config_bad(build, "holds a control character");
    }
    return 0;
}

const char *srt_config_home(const struct srt_config_build *build)
{
    const char *home =
        build->lookup != NULL ? build->lookup->get("HOME", build->lookup->data) : NULL;

    return home != NULL && home[0] == '/' ? home : NULL;
}

int srt_config_path(struct srt_config_build *build, struct srt_buf *out,
                    const char *text)
{
    const char *home;

    if (strncmp(text, "~/", 2) == 0) {
        home = srt_config_home(build);
        if (home == NULL)
            return srt_config_bad(build, "\"~/\" needs HOME, which is not set");
        srt_buf_text_add(out, home);
        text++;
    }
    srt_buf_text_add(out, text);
    return 0;
}

int srt_config_duration(struct srt_config_build *build, int64_t *out_ms,
                        const char *text)
{
    int64_t ms = 0;

    if (srt_duration_parse(&ms, text) != 0)
        return srt_config_bad(build, "must be a duration, such as \"30s\" or \"5m\"");
    if (ms <= 0 || ms > CONFIG_CHECK_DURATION_MAX_MS)
        return srt_config_bad(build, "must be a duration over 0 and up to 10 years");
    *out_ms = ms;
    return 0;
}

int srt_config_push(struct srt_config_build *build, char ***list, size_t *n, char *text)
{
    char **grown;

    if (text == NULL)
        return srt_nomem(build->err);
    grown = srt_grow_array(*list, *n, *n + 1, sizeof(**list));
    if (grown == NULL) {
        srt_free(text);
        return srt_nomem(build->err);
    }
    grown[(*n)++] = text;
    *list = grown;
    return 0;
}

int srt_config_value(struct srt_store_value **out, struct srt_config_build *build,
                     struct srt_store_config *store, const struct srt_setting *setting,
                     const char *origin)
{
    struct srt_store_value *value = &store->value[store->values];

    *out = NULL;
    /* Room is there for one of each. */
    for (size_t i = 0; i < store->values; i++) {
        if (store->value[i].setting == setting)
            return srt_config_bad(build, "is given twice");
    }
    value->origin = srt_strdup(origin);
    if (value->origin == NULL)
        return srt_nomem(build->err);
    value->setting = setting;
    store->values++;
    *out = value;
    return 0;
}

typedef int config_check_fn(struct srt_config_build *build,
                            const struct srt_setting *setting, const char *text,
                            struct srt_buf *out);

static int config_check_text(struct srt_config_build *build,
                             const struct srt_setting *setting, const char *text,
                             struct srt_buf *out)
{
    (void)build;
    (void)setting;
    srt_buf_text_add(out, text);
    return 0;
}

static int config_check_file(struct srt_config_build *build,
                             const struct srt_setting *setting, const char *text,
                             struct srt_buf *out)
{
    (void)setting;
    return srt_config_path(build, out, text);
}

static int config_check_flag(struct srt_config_build *build,
                             const struct srt_setting *setting, const char *text,
                             struct srt_buf *out)
{
    static const char *const forms[] = {"false", "true", "0", "1", "f", "t"};

    (void)setting;
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        if (strcasecmp(text, forms[i]) == 0) {
            srt_buf_text_add(out, forms[i % 2]);
            return 0;
        }
    }
    return srt_config_bad(build, "must be true or false");
}

static int config_check_number(struct srt_config_build *build,
                               const struct srt_setting *setting, const char *text,
                               struct srt_buf *out)
{
    int64_t number = 0;

    (void)setting;
    if (srt_decimal_parse(&number, text, strlen(text), 1, CONFIG_CHECK_NUMBER_MAX) != 0)
        return srt_config_bad(build, "must be an integer from 1 to %d",
                              CONFIG_CHECK_NUMBER_MAX);
    srt_buf_format(out, "%" PRId64, number);
    return 0;
}

static int config_check_duration(struct srt_config_build *build,
                                 const struct srt_setting *setting, const char *text,
                                 struct srt_buf *out)
{
    int64_t ms = 0;
    int status = srt_config_duration(build, &ms, text);

    (void)setting;
    if (status == 0)
        srt_buf_format(out, "%" PRId64, ms);
    return status;
}

static int config_check_url(struct srt_config_build *build,
                            const struct srt_setting *setting, const char *text,
                            struct srt_buf *out)
{
    (void)setting;
    return srt_config_url(build, out, text);
}

static int config_check_choice(struct srt_config_build *build,
                               const struct srt_setting *setting, const char *text,
                               struct srt_buf *out)
{
    const char *choice = setting->choices;
    size_t want = strlen(text);
    size_t len;

    for (; *choice != '\0'; choice += len + (choice[len] == ' ')) {
        len = strcspn(choice, " ");
        if (len == want && memcmp(choice, text, len) == 0) {
            srt_buf_add(out, text, len);
            return 0;
        }
    }
    return srt_config_bad(build, "must be one of: %s", setting->choices);
}

int srt_config_value_add(struct srt_config_build *build, struct srt_store_value *value,
                         const char *text, size_t len)
{
    static config_check_fn *const checks[] = {
        [SRT_SETTING_TEXT] = config_check_text,
        [SRT_SETTING_LIST] = config_check_text,
        [SRT_SETTING_FILE] = config_check_file,
        [SRT_SETTING_FLAG] = config_check_flag,
        [SRT_SETTING_NUMBER] = config_check_number,
        [SRT_SETTING_DURATION] = config_check_duration,
        [SRT_SETTING_URL] = config_check_url,
        [SRT_SETTING_CHOICE] = config_check_choice,
    };
    struct srt_buf buf;
    int status = srt_config_plain(build, text, len);

    srt_buf_init(&buf, 0);
    if (status == 0)
        status = checks[value->setting->type](build, value->setting, text, &buf);
    if (status == 0)
        status = srt_config_push(build, &value->text, &value->n, srt_buf_take(&buf));
    srt_buf_wipe(&buf);
    return status;
}
