/* The master checks the configuration and opens lazily: it holds no lease. Each worker
 * gets its own at its first read. */
#include <secretrt/secretrt.h>

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static int worker(struct secretrt_client *client, struct secretrt_secret *db)
{
    struct secretrt_value *v = NULL;
    struct secretrt_error e;
    int rc = secretrt_secret_read(&v, db, &e);

    if (rc == 0)
        printf("%d: %s\n", (int)getpid(), secretrt_value_field(v, "username", NULL));
    else
        fprintf(stderr, "%d: %s\n", (int)getpid(), e.message);
    secretrt_value_unref(v);
    secretrt_secret_close(db);
    secretrt_close(client); /* gives back the child's lease only */
    return rc != 0;
}

int main(void)
{
    struct secretrt_secret_options o = SECRETRT_SECRET_OPTIONS_INIT;
    struct secretrt_client *client = NULL;
    struct secretrt_secret *db = NULL;
    struct secretrt_error e;

    o.flags = SECRETRT_SECRET_LAZY;
    o.fields = "username";
    if (secretrt_open(&client, NULL, &e) != 0 ||
        secretrt_secret_open_with(&db, client, "db", &o, &e) != 0) {
        fprintf(stderr, "%s\n", e.message);
        secretrt_close(client);
        return 1;
    }
    for (int i = 0; i < 4; i++)
        if (fork() == 0)
            return worker(client, db);
    while (wait(NULL) > 0)
        ;
    secretrt_secret_close(db);
    secretrt_close(client);
    return 0;
}
