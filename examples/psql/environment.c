#include "environment.h"

#include <secretrt/secretrt.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ENVIRONMENT_ADDED 4

/* Not passed on: tokens and keys of stores, and what would win over our files. */
static const char *const environment_dropped[] = {
    "VAULT_*",     "BAO_*",      "AWS_*",          "AZURE_*", "PGPASSWORD=",
    "PGPASSFILE=", "PGSERVICE=", "PGSERVICEFILE=", "PGUSER=", "SECRETRT_EXPIRES_AT="};

static int environment_matches(const char *entry, const char *rule)
{
    size_t len = strlen(rule) - (rule[strlen(rule) - 1] == '*' ? 1 : 0);

    return strncmp(entry, rule, len) == 0;
}

/* Is the variable one that "env://?username=DB_USER&password=DB_PASSWORD" reads? */
static int environment_is_source(const char *entry, const char *source)
{
    size_t len = strcspn(entry, "=");

    if (len == 0 || strncmp(source, "env://", 6) != 0)
        return 0;
    for (const char *at = source + 6; at != NULL; at = strpbrk(at, "=&?#/")) {
        at += strspn(at, "=&?#/");
        if (strncmp(at, entry, len) == 0 && strchr("=&?#/", at[len]) != NULL)
            return 1; /* strchr finds the end of the text too */
    }
    return 0;
}

static int environment_keep(const char *entry, const char *source)
{
    size_t n = sizeof(environment_dropped) / sizeof(environment_dropped[0]);

    for (size_t i = 0; i < n; i++) {
        if (environment_matches(entry, environment_dropped[i]))
            return 0;
    }
    return !environment_is_source(entry, source);
}

/* Owned copies, so that one free serves all. */
static int environment_add(char **environment, size_t *n, const char *entry)
{
    environment[*n] = strdup(entry);
    if (environment[*n] == NULL)
        return -1;
    (*n)++;
    return 0;
}

static int environment_expiry(char **environment, size_t *n, int64_t expires_at_ms)
{
    time_t seconds = (time_t)(expires_at_ms / 1000);
    struct tm utc;
    char entry[64];

    if (expires_at_ms <= 0 || gmtime_r(&seconds, &utc) == NULL)
        return 0; /* no end known */
    if (strftime(entry, sizeof(entry), "SECRETRT_EXPIRES_AT=%Y-%m-%dT%H:%M:%SZ",
                 &utc) == 0)
        return 0;
    return environment_add(environment, n, entry);
}

static int environment_files(char **environment, size_t *n,
                             const struct handover *handover)
{
    char entry[64];

    snprintf(entry, sizeof(entry), "PGPASSFILE=/dev/fd/%d", handover->password_ro);
    if (environment_add(environment, n, entry) != 0)
        return -1;
    snprintf(entry, sizeof(entry), "PGSERVICEFILE=/dev/fd/%d", handover->service_ro);
    if (environment_add(environment, n, entry) != 0)
        return -1;
    return environment_add(environment, n, "PGSERVICE=secretrt");
}

char **environment_make(const struct handover *handover,
                        const struct secretrt_value *value)
{
    const struct secretrt_info *info = secretrt_value_info(value);
    char **made = NULL;
    size_t count = 0, n = 0;
    int rc = 0;

    while (environ != NULL && environ[count] != NULL)
        count++;
    made = calloc(count + ENVIRONMENT_ADDED + 1, sizeof(*made));
    if (made == NULL)
        return NULL;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (environment_keep(environ[i], info->source))
            rc = environment_add(made, &n, environ[i]);
    }
    if (rc == 0 && handover != NULL)
        rc = environment_files(made, &n, handover);
    if (rc == 0)
        rc = environment_expiry(made, &n, info->expires_at_ms);
    if (rc != 0) {
        environment_free(made);
        made = NULL;
    }
    return made;
}

char **environment_plain(const struct secretrt_value *value)
{
    return environment_make(NULL, value);
}

void environment_free(char **environment)
{
    for (size_t i = 0; environment != NULL && environment[i] != NULL; i++)
        free(environment[i]);
    free(environment);
}
