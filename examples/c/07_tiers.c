/* A dynamic credential, with a deprecated way out that only development may take. */
#include <secretrt/secretrt.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
    struct secretrt_options o = SECRETRT_OPTIONS_INIT;
    struct secretrt_secret_options s = SECRETRT_SECRET_OPTIONS_INIT;
    struct secretrt_client *client = NULL;
    struct secretrt_secret *db = NULL;
    struct secretrt_value *v = NULL;
    struct secretrt_error e;
    const char *env = getenv("APP_ENV");
    int rc;

    /* Code can tighten what the configuration allows, never loosen it. */
    o.weakest_tier = env != NULL && strcmp(env, "dev") == 0 ? 4 : 3;
    s.sources =
        "vault://database/creds/app env://?username=DB_USER&password=DB_PASSWORD";
    if ((rc = secretrt_open(&client, &o, &e)) == 0 &&
        (rc = secretrt_secret_open_with(&db, client, "db", &s, &e)) == 0 &&
        (rc = secretrt_secret_read(&v, db, &e)) == 0) {
        const struct secretrt_info *i = secretrt_value_info(v);

        printf("tier %d from %s%s\n", (int)i->tier, i->source,
               i->flags & SECRETRT_VALUE_DEPRECATED ? " (deprecated)" : "");
    }
    if (rc == SECRETRT_ERR_POLICY)
        fprintf(stderr, "not in production: %s\n", e.message);
    else if (rc != 0)
        fprintf(stderr, "%s\n", e.message);
    secretrt_value_unref(v);
    secretrt_secret_close(db);
    secretrt_close(client);
    return rc != 0;
}
