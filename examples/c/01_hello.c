/* The least code: who are we to the database? */
#include <secretrt/secretrt.h>

#include <stdio.h>

int main(void)
{
    struct secretrt_client *client = NULL;
    struct secretrt_value *db = NULL;
    struct secretrt_error e;
    int rc = secretrt_open(&client, NULL, &e);

    if (rc == 0)
        rc = secretrt_read(&db, client, "db#username", &e);
    if (rc == 0)
        printf("user %s\n", secretrt_value_text(db));
    else
        fprintf(stderr, "%s\n", e.message);
    secretrt_value_unref(db);
    secretrt_close(client);
    return rc != 0;
}
